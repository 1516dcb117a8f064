"""The development stack without containers: real servers with the settings that the compose file
gives them, and the platform with its commands and variables."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from neo4j import GraphDatabase
from neo4j.exceptions import ClientError, DatabaseError

from agent_orchestration.cli import main
from tests.deploy.files import compose, last, server_settings, words
from tests.e2e.program import environment, run, started, wait_for
from tests.services import kafka, neo4j
from tests.services.run import needed

pytestmark = pytest.mark.slow
PASSWORD = neo4j.PASSWORD
SERVICES = compose({"NEO4J_PASSWORD": PASSWORD})["services"]


def settings(service: str, prefix: str) -> dict[str, str]:
    """The server's settings, as the entry point of its image makes them from variables."""
    return server_settings(SERVICES[service]["environment"], prefix)


def ports_of(listeners: str) -> dict[str, int]:
    """The port of each listener."""
    return {name: int(port) for name, port in re.findall(r"(\w+)://\w*:(\d+)", listeners)}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """A broker with the stack's settings on other ports, by the name of each listener."""
    wanted = {name.lower(): value for name, value in settings("kafka", "KAFKA_").items()}
    free = {name: kafka.free_port() for name in ports_of(wanted["listeners"])}
    for setting in ("listeners", "advertised.listeners"):
        for name, port in free.items():
            wanted[setting] = re.sub(rf"({name}://\w*):\d+", rf"\1:{port}", wanted[setting])
        # The names stay in what clients are told, but nothing but loopback is listened on.
        wanted[setting] = wanted[setting].replace("://:", "://127.0.0.1:")
    wanted["controller.quorum.voters"] = f"1@127.0.0.1:{free['CONTROLLER']}"
    home = tmp_path_factory.mktemp("kafka") / "broker"
    wanted["log.dirs"] = str(home / "data")
    with needed("kafka"):
        started = kafka.Broker(home, wanted)
    # Nothing but what the compose file says: it must be enough.
    lines = "".join(f"{name}={value}\n" for name, value in wanted.items())
    (home / "server.properties").write_text(lines, "utf-8")
    started.port = free["HOST"]
    started.start()
    yield free
    started.kill()


async def told(port: int) -> list[tuple[str, int]]:
    """Where the broker sends a client that asks at this port, as soon as it knows of itself."""
    while True:
        client: Any = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        with contextlib.suppress(KafkaConnectionError):
            await client.bootstrap()
        brokers = [(node.host, node.port) for node in client.cluster.brokers()]
        await client.close()
        if brokers:
            return brokers
        await asyncio.sleep(0.05)


def test_the_ports_are_those_that_clients_are_told() -> None:
    listening = ports_of(settings("kafka", "KAFKA_")["LISTENERS"])
    [published] = SERVICES["kafka"]["ports"]
    address, outside, inside = published.split(":")
    assert (address, int(inside)) == ("127.0.0.1", listening["HOST"])
    advertised = settings("kafka", "KAFKA_")["ADVERTISED.LISTENERS"].split(",")
    bootstrap = SERVICES["mcp-server"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
    assert advertised == [f"CONTAINERS://{bootstrap}", f"HOST://localhost:{outside}"]
    assert int(bootstrap.rpartition(":")[2]) == listening["CONTAINERS"]


async def test_each_client_is_sent_to_the_listener_that_it_asked(broker: dict[str, int]) -> None:
    assert await told(broker["CONTAINERS"]) == [("kafka", broker["CONTAINERS"])]
    assert await told(broker["HOST"]) == [("localhost", broker["HOST"])]


def test_the_topics_are_made_on_this_broker(
    broker: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"localhost:{broker['HOST']}")
    assert main([*SERVICES["topics"]["command"], "--json"]) == 0
    assert {one["state"] for one in json.loads(capsys.readouterr().out)["topics"]} == {"created"}
    assert main([*SERVICES["topics"]["command"], "--json"]) == 0
    assert {one["state"] for one in json.loads(capsys.readouterr().out)["topics"]} == {"ok"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[neo4j.Address]:
    """A server with the stack's settings."""
    with needed("neo4j"):
        started = neo4j.JarServer(tmp_path_factory.mktemp("neo4j") / "server", neo4j.version())
    file = started.home / "conf" / "neo4j.conf"
    own = dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines())
    lines = {
        **own,
        **settings("neo4j", "NEO4J_"),
        "server.config.strict_validation.enabled": "true",
    }
    # A container tells its own name nobody: clients must be sent to where they asked.
    lines["server.bolt.advertised_address"] = "localhost:1"
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "utf-8")
    started.start()
    yield started.address
    started.kill()


def test_the_schema_is_made_on_this_server(
    database: neo4j.Address, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENT_ORCHESTRATION_BACKEND", "kafka-neo4j")
    monkeypatch.setenv("NEO4J_URI", database.uri.replace("bolt://", "neo4j://"))
    monkeypatch.setenv("NEO4J_PASSWORD", PASSWORD)
    assert main([*SERVICES["schema"]["command"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["applied"]
    assert main([*SERVICES["schema"]["command"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["applied"] == []


@pytest.mark.parametrize("source", ["file:///etc/hosts", "http://127.0.0.1:1/x.csv"])
def test_a_query_reaches_neither_files_nor_the_network(
    database: neo4j.Address, source: str
) -> None:
    auth = (database.username, database.password)
    refused = pytest.raises((ClientError, DatabaseError), match=r"is false|blocked")
    statement = "LOAD CSV FROM $source AS line RETURN line"
    with GraphDatabase.driver(database.uri, auth=auth) as driver, refused:  # pyright: ignore[reportUnknownMemberType]
        driver.execute_query(statement, {"source": source}, database_="neo4j")


def health(image: str) -> list[str]:
    """The command of an image's health check, as it is started here."""
    _, _, command = last(image, "HEALTHCHECK").partition("CMD ")
    program, *arguments = words(command)
    own = {"agent-orchestration": ["-m", "agent_orchestration"], "python": []}
    return [sys.executable, *own[program], *arguments]


@pytest.mark.process
def test_the_platform_works_on_both(
    tmp_path: Path, broker: dict[str, int], database: neo4j.Address
) -> None:
    port = kafka.free_port()
    outside = {
        "AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j",
        "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{broker['HOST']}",
        "NEO4J_URI": database.uri.replace("bolt://", "neo4j://"),
        "AGENT_ORCHESTRATION_BLOBS": str(tmp_path / "blobs"),
        "MCP_SERVER_PORT": str(port),
    }

    def variables(name: str) -> dict[str, str]:
        return {key: value or "" for key, value in SERVICES[name]["environment"].items()} | outside

    def command(name: str) -> list[str]:
        # What listens on all addresses of a container listens on loopback here, at a port of its
        # own.
        here = {"0.0.0.0": "127.0.0.1", "9090": str(kafka.free_port())}
        words: list[str] = SERVICES[name]["command"]
        return [here.get(word, word) for word in words]

    def healthy(name: str) -> bool:
        done = subprocess.run(
            health(name),
            cwd=tmp_path,
            env=environment(tmp_path, variables(name)),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    for once in ("topics", "schema"):
        program(tmp_path, *command(once), more=variables(once))
    running = {
        name: started(tmp_path, *command(name), more=variables(name))
        for name in ("event-processor", "mcp-server")
    }
    assert not any(healthy(name) for name in running)
    with running["event-processor"] as processor, running["mcp-server"] as server:
        for name in running:
            wait_for(lambda name=name: healthy(name), f"the health of {name}")
        client = ("--server", f"http://127.0.0.1:{port}", "call")
        program(tmp_path, *client, "create_task", "title=Say hello", "id=hello")
        task = program(tmp_path, *client, "get_task", "task_id=hello", "--json")
        assert json.loads(task)["task"]["status"] == "ready"
        for process in (server, processor):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not any(healthy(name) for name in running)


def program(folder: Path, *arguments: str, more: dict[str, str] | None = None) -> str:
    """What a verb that succeeds says."""
    done = run(folder, *arguments, more=more)
    assert done.returncode == 0, done.stderr
    return done.stdout
