"""`events` is lost on Kafka, and comes back from a file: the whole way, as an operator goes it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log.kafka.connection import connected
from agent_orchestration.config_kafka import Kafka
from tests.contracts.kafka_topics import KafkaTopics
from tests.e2e.program import wait_for
from tests.e2e.real.installation import Installation, Server, installed
from tests.services import neo4j

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture
def installation(tmp_path: Path, database: neo4j.Address) -> Iterator[Installation]:
    with installed(tmp_path, database) as prepared:
        yield prepared


async def delete(installation: Installation, *topics: str) -> None:
    """As an accident would."""
    settings = Kafka(bootstrap_servers=installation.bootstrap_servers, prefix=installation.prefix)
    async with connected(settings, "tests", 30) as connection:
        names = [installation.prefix + topic for topic in topics]
        await KafkaTopics(settings, connection).delete(*names)


def told(installation: Installation, *words: str) -> dict[str, Any]:
    return json.loads(installation.program(*words, "--json"))


def started(installation: Installation, name: str) -> tuple[Any, Server]:
    processor = installation.processor(f"processor-{name}")
    server = installation.server(f"server-{name}")
    for process in (processor, server):
        wait_for(process.ready, f"{process.name} to be ready")
    return processor, server


def test_events_and_a_feed_that_were_lost_come_back_from_files(installation: Installation) -> None:
    processor, server = started(installation, "before")

    def call(tool: str, *arguments: str) -> dict[str, Any]:
        return told(installation, "--server", server.url, "call", tool, *arguments)

    for name in "abc":
        call("create_task", f"id={name}", f"title={name}", f'payload="{name * 70_000}"')
    call("register_agent", "id=ann", "name=Ann", "kind=human", "capabilities=[]")
    claimed = call("claim_task", "agent_id=ann")
    files = {"events": "events.json.gz", "task_events": "task_events.json"}

    def published() -> bool:
        said = told(installation, "topics", "export", "task_events", "--to", "now.json")
        return said["records"] == 4

    wait_for(published, "the feed to have what happened")
    sizes = {
        topic: told(installation, "topics", "export", topic, "--to", file)["records"]
        for topic, file in files.items()
    }
    assert sizes == {"events": 5, "task_events": 4}
    refused = installation.run("topics", "import", "events.json.gz")
    assert (refused.returncode, "has members (ao-" in refused.stderr) == (3, True)
    for process in (processor, server):
        process.send(signal.SIGTERM)
        process.wait(60)

    asyncio.run(delete(installation, *files))
    installation.program("topics", "create")
    for topic, file in files.items():
        back = told(installation, "topics", "import", file)
        assert (back["topic"], back["records"], back["found"]) == (topic, sizes[topic], 0)
        if topic == "events":
            begun = installation.run("topics", "import", "task_events.json")
            assert "topics create --new-epoch` did not end" in begun.stderr
            plan = told(installation, "topics", "create", "--new-epoch", "--yes")
            assert (plan["needed"], plan["tenants"]) == (True, [])

    _, server = started(installation, "after")
    tasks = {one["id"]: one["status"] for one in call("list_tasks")["tasks"]}
    assert tasks == dict.fromkeys("abc", "ready") | {claimed["task"]["id"]: "running"}
    assert told(installation, "verify")["ok"]
    assert told(installation, "rebuild", "--verify")["equal"]
    call("create_task", "id=d", "title=d")
    history = call("get_history", "limit=100")["events"]
    assert sorted(event["seq"] for event in history) == [1, 2, 3, 4, 5, 6]
    assert told(installation, "verify")["events"] == 6
