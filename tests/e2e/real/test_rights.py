"""Each program logs in to Kafka as a user of its own, who has the rights of docs/kafka-rights.sh
and no others."""

import json
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest
from aiokafka.structs import TopicPartition

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.connection import connected
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.envelope import Record
from agent_orchestration.pipeline.topology import COMMANDS, GROUP, topics
from tests.e2e.program import PATIENCE, wait_for
from tests.e2e.real.installation import Installation, Process, Server
from tests.services import neo4j
from tests.services.kafka_users import ADMIN, Guarded, guarded_broker

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
TOPICS = [topic.name for topic in topics(REGISTRY)]


class Place(NamedTuple):
    """The installation, and its processes."""

    kafka: Guarded
    installation: Installation
    processor: Process
    server: Server

    def variables(self, user: str) -> dict[str, str]:
        """Of a program that logs in as this user."""
        return who(self.kafka, user)

    def post(self, tool: str, **arguments: Any) -> httpx2.Response:
        """What the server says."""
        url = f"{self.server.url}/api/v1/tools/{tool}"
        return httpx2.post(url, json=arguments, timeout=PATIENCE, trust_env=False)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What it answers."""
        answer = self.post(tool, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def told(self, user: str, *words: str) -> dict[str, Any]:
        """What a verb answers to this user."""
        done = self.installation.run(*words, "--json", **self.variables(user))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, user: str, *words: str) -> str:
        """What a verb says to this user, to whom Kafka refuses something that it needs."""
        done = self.installation.run(*words, **self.variables(user))
        assert done.returncode != 0, done.stdout
        assert "Kafka refuses it to this user" in done.stderr, done.stderr
        return done.stderr


def who(kafka: Guarded, user: str) -> dict[str, str]:
    return {"KAFKA_USERNAME": user, "KAFKA_PASSWORD": kafka.password(user)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, database: neo4j.Address) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("guarded")
    with guarded_broker(folder) as kafka:
        names = ("security_protocol", "sasl_mechanism", "ssl_ca_file")
        home = folder / "installation"
        home.mkdir()
        installation = Installation(
            home,
            database,
            bootstrap_servers=kafka.broker.bootstrap_servers,
            variables={
                **who(kafka, "ao-topics"),
                "AGENT_ORCHESTRATION_ARCHIVE": str(folder / "archive"),
                "AGENT_ORCHESTRATION_BACKUPS": str(folder / "backups"),
            },
            login={name: kafka.settings("ao-topics")[name] for name in names},
        )
        kafka.grant(installation.prefix, archive=True)
        try:
            installation.prepare()
            processor = installation.processor("processor", **who(kafka, "ao-processor"))
            server = installation.server("server", **who(kafka, "ao-server"))
            for process in (processor, server):
                wait_for(process.ready, f"{process.name} to be ready")
            yield Place(kafka, installation, processor, server)
            for process in (processor, server):
                log = process.log.read_text("utf-8")
                assert "CRITICAL" not in log
                assert "refuses" not in log
        finally:
            installation.end()


async def damage(place: Place) -> None:
    """Somebody writes what is no command."""
    settings = Kafka.model_validate(place.kafka.settings(ADMIN))
    name = f"{place.installation.prefix}{COMMANDS}"
    async with connected(settings, "tests", 30) as connection:
        await connection.watch([name])
        await Appender(connection).append(TopicPartition(name, 0), [Record(b"key", b"damaged")])


def exported(place: Place, topic: str) -> int:
    """How many records there are, for somebody who may read them."""
    file = str(place.installation.folder / f"{topic}.json")
    return place.told("ao-checks", "topics", "export", topic, "--to", file)["records"]


async def test_every_program_gets_by_with_its_rights(place: Place) -> None:
    skills = [{"name": "guarding"}]
    place.call("register_agent", id="guard", name="G", kind="llm", capabilities=skills)
    needs = [{"capability": "guarding"}]
    made = place.call("create_task", title="Keep watch", id="watch", requires=needs)
    claimed = place.call("claim_task", agent_id="guard", wait_seconds=30)
    held = {"task_id": "watch", "agent_id": "guard", "attempt": claimed["attempt"]}
    done = place.call("complete_task", **held, result=1)
    assert done["task"]["status"] == "completed"
    statement = "MATCH (t:Task {id: 'watch'}) RETURN t.status AS status"
    early = place.call("read_cypher", query=statement, at=made["seq"])
    assert [row["status"] for row in early["rows"]] == ["ready"]
    assert place.call("raise_rules")["rules"] >= 1
    # For each topic something: a conversation, a budget, a rejection, what nobody can read.
    place.call("open_conversation", topic="Quiet nights")
    place.call("set_budget", limit_micros=1)
    refused = place.post("create_task", title="After nothing", depends_on=["nothing"])
    assert refused.json()["code"] == "unknown_task"
    await damage(place)
    wait_for(lambda: all(exported(place, topic) for topic in TOPICS), "records in all topics")


@pytest.mark.parametrize(
    "words",
    [
        ("verify",),
        ("rebuild", "--verify"),
        ("backup", "create"),
        ("archive", "--status"),
        ("topics", "describe"),
        ("consumer-groups", "list"),
        ("consumer-groups", "describe", GROUP),
        ("redrive", "list"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_who_checks_sees_everything(place: Place, words: tuple[str, ...]) -> None:
    assert place.told("ao-checks", *words)


async def test_who_repairs_may_write_and_who_checks_may_not(place: Place) -> None:
    def letters() -> list[dict[str, Any]]:
        return place.told("ao-operator", "redrive", "list")["letters"]

    before = len(letters())
    await damage(place)
    wait_for(lambda: len(letters()) > before, "a letter")
    words = ("redrive", "give-up", letters()[-1]["place"], "--reason", "a test")
    place.refused("ao-checks", *words)
    place.told("ao-operator", *words)
    assert len(letters()) == before
    place.told("ao-operator", "archive")


def test_nobody_is_a_processor_with_the_rights_of_a_server(place: Place) -> None:
    said = place.refused("ao-server", "processor")
    assert f"joining group {place.installation.prefix}{GROUP}" in said


def test_with_all_processors_stopped_who_repairs_goes_on(place: Place) -> None:
    other = place.installation.processor("other", **place.variables("ao-processor"))
    wait_for(other.ready, "another processor")
    for process in (place.processor, other):
        process.send(signal.SIGTERM)
        process.wait(PATIENCE)
    words = ("consumer-groups", "reset", GROUP, "--yes")
    place.refused("ao-checks", *words)
    assert place.told("ao-operator", *words)["positions"]
    assert not place.told("ao-operator", "topics", "create", "--new-epoch", "--yes")["tenants"]
    place.processor.start()
    wait_for(place.processor.ready, "the processor to be ready")
    place.call("create_task", title="Goes on", id="on")
