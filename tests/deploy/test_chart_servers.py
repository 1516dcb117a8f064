"""Kafka and Neo4j as the chart brings them along, without containers: real servers with the
settings that their pods get, and the Jobs that make topics and schema with theirs."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_orchestration.cli import main
from tests.deploy.chart import BROUGHT_ALONG, DEFAULT, SMALL, Chart, container, rendered, variables
from tests.deploy.files import server_settings
from tests.services import kafka, neo4j
from tests.services.run import needed

BROKERS = range(3)


def cluster() -> Chart:
    return rendered(DEFAULT, BROUGHT_ALONG)


def job(chart: Chart, name: str, folder: Path) -> list[str]:
    """The command of a Job, with the settings file that its pod gets."""
    text = chart.named("ConfigMap", "agent-orchestration-config")["data"]["config.yaml"]
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    return [*container(chart.named("Job", name))["args"], "--config", str(file), "--json"]


def broker_settings(node: int, clients: int, controllers: dict[int, int]) -> dict[str, str]:
    """The settings of one of the brokers, on ports of loopback."""
    given = variables(container(cluster().named("StatefulSet", "kafka")))
    wanted = {name.lower(): value for name, value in server_settings(given, "KAFKA_").items()}
    found = {
        int(one) for one in re.findall(r"(\d+)@kafka-\1\.", wanted["controller.quorum.voters"])
    }
    assert found == set(BROKERS)
    voters = ",".join(f"{one}@127.0.0.1:{port}" for one, port in controllers.items())
    here = f"PODS://127.0.0.1:{clients}"
    assert wanted["advertised.listeners"].startswith("PODS://$(POD_NAME).kafka-headless.")
    assert wanted["listeners"] == "PODS://:9092,CONTROLLER://:9093"
    return wanted | {
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "advertised.listeners": here,
        "listeners": f"{here},CONTROLLER://127.0.0.1:{controllers[node]}",
    }


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[kafka.Broker]]:
    """Three brokers with nothing but the settings of their pods: they must be enough."""
    folder = tmp_path_factory.mktemp("kafka")
    controllers = {node: kafka.free_port() for node in BROKERS}
    with contextlib.ExitStack() as stack:
        found: list[kafka.Broker] = []
        for node in BROKERS:
            home, clients = folder / str(node), kafka.free_port()
            wanted = broker_settings(node, clients, controllers) | {"log.dirs": str(home / "log")}
            with needed("kafka"):
                one = kafka.Broker(home, wanted, node=node, voters=controllers)
            lines = "".join(f"{name}={value}\n" for name, value in wanted.items())
            (home / "server.properties").write_text(lines, "utf-8")
            one.port = clients
            one.launch()
            stack.callback(one.kill)
            found.append(one)
        for one in found:
            one.wait()
        yield found


def test_the_number_of_a_broker_is_that_of_its_pod() -> None:
    command = container(cluster().named("StatefulSet", "kafka"))["command"]
    *shell, program = command
    told = program.replace("exec /etc/kafka/docker/run", "printenv KAFKA_NODE_ID")
    assert told != program
    done = subprocess.run(
        [*shell, told],
        env={"POD_NAME": "kafka-2", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n"


@pytest.mark.slow
def test_the_topics_are_made_on_three_brokers_with_three_copies(
    brokers: list[kafka.Broker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    addresses = ",".join(f"127.0.0.1:{one.port}" for one in brokers)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", addresses)
    assert main(job(cluster(), "topics-create", tmp_path)) == 0
    topics = {one["name"]: one for one in json.loads(capsys.readouterr().out)["topics"]}
    assert {one["replicas"] for one in topics.values()} == {3}
    assert topics["commands"]["partitions"] == topics["events"]["partitions"] == 8
    assert topics["agent_events"]["partitions"] == 8


@pytest.mark.slow
def test_the_schema_is_made_on_a_server_with_the_settings_of_its_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = rendered(SMALL)
    given = variables(container(chart.named("StatefulSet", "neo4j")))
    lines = {
        **server_settings(given, "NEO4J_"),
        "server.config.strict_validation.enabled": "true",
        # What the machine of a test has.
        "server.memory.heap.initial_size": "256M",
        "server.memory.heap.max_size": "512M",
        "server.memory.pagecache.size": "64M",
    }
    with needed("neo4j"):
        server = neo4j.JarServer(tmp_path / "server", neo4j.version())
    file = server.home / "conf" / "neo4j.conf"
    own = dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines())
    file.write_text("".join(f"{k}={v}\n" for k, v in {**own, **lines}.items()), "utf-8")
    server.start()
    try:
        monkeypatch.setenv("NEO4J_URI", server.address.uri.replace("bolt://", "neo4j://"))
        monkeypatch.setenv("NEO4J_PASSWORD", server.address.password)
        assert main(job(chart, "schema-migrate", tmp_path)) == 0
        assert json.loads(capsys.readouterr().out)["applied"]
    finally:
        server.kill()
