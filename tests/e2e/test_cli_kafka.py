"""The operator's verbs for Kafka, run as a program against a real broker."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.core.envelope import Record
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, topics
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.e2e.program import answer, run
from tests.services import kafka
from tests.services.kafka import free_port

pytestmark = pytest.mark.process
NAMES = [*(topic.name for topic in topics(REGISTRY)), "log_epoch"]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[KafkaTopics]:
    async with own_topics(kafka.bootstrap_servers()) as found:
        settings = {
            "bootstrap_servers": found.settings.bootstrap_servers,
            "prefix": found.settings.prefix,
            "topics": [{"name": "dead_letters", "partitions": 2, "retention_ms": 7_200_000}],
        }
        (tmp_path / "config.yaml").write_text(json.dumps({"kafka": settings}))
        yield found


def states(told: dict[str, Any]) -> dict[str, str]:
    return {topic["name"]: topic["state"] for topic in told["topics"]}


def test_topics_are_made_and_described(tmp_path: Path, cluster: KafkaTopics) -> None:
    names = [cluster.settings.prefix + name for name in NAMES]
    before = run(tmp_path, "topics", "describe", "--json")
    assert before.returncode == 1
    assert states(json.loads(before.stdout)) == dict.fromkeys(names, "missing")
    assert states(answer(tmp_path, "topics", "create")) == dict.fromkeys(names, "created")
    assert states(answer(tmp_path, "topics", "create")) == dict.fromkeys(names, "ok")
    assert states(answer(tmp_path, "topics", "describe")) == dict.fromkeys(names, "ok")
    shown = run(tmp_path, "topics", "describe").stdout
    [line] = [line for line in shown.splitlines() if "dead_letters" in line]
    assert line.split()[1:5] == ["ok", "2", "1", "2"]  # partitions, replicas, hours
    assert "for ever" in shown


async def test_drift_is_told_and_a_changed_count_refused(
    tmp_path: Path, cluster: KafkaTopics
) -> None:
    await cluster.make(topics(REGISTRY))
    drifted = run(tmp_path, "topics", "describe")
    assert drifted.returncode == 1
    assert "partitions is 4, planned 2" in drifted.stdout
    refused = run(tmp_path, "topics", "create")
    assert refused.returncode == 3
    assert "dead_letters has 4 partitions in the cluster and 2 in the" in refused.stderr


async def test_groups_are_listed_described_and_reset(tmp_path: Path, cluster: KafkaTopics) -> None:
    # The verbs run beside this loop, for it has a member's heartbeats to send.
    async def ask(*words: str) -> Any:
        return await asyncio.to_thread(answer, tmp_path, *words)

    async def refused(*words: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, tmp_path, "consumer-groups", "reset", GROUP, *words)

    async def told(partitions: frozenset[int]) -> None:
        assert partitions == {0, 1, 2, 3}

    await ask("topics", "create")
    settings = cluster.settings.model_copy(update={"topics": ()})
    prefix = settings.prefix
    log = KafkaLog(settings, topics(REGISTRY)[:2], rules=4)
    await log.start()
    await log.append(COMMANDS, 1, [Record(b"tenant", b"%d" % n) for n in range(5)])
    await log.join(GROUP, [COMMANDS, EVENTS], told, told)
    await log.commit(GROUP, COMMANDS, 1, 3)
    listed = await ask("consumer-groups", "list")
    assert listed["groups"] == [{"group": GROUP, "state": "Stable", "members": 1, "lag": 2}]
    found = await ask("consumer-groups", "describe", GROUP)
    [member], [position] = found["members"], found["positions"]
    assert (member["rules"], member["client"].startswith("ao-4-")) == (4, True)
    assert member["partitions"] == {prefix + name: [0, 1, 2, 3] for name in (COMMANDS, EVENTS)}
    expected = {"partition": 1, "position": 3, "first": 0, "end": 5, "lag": 2, "epoch": log.epoch}
    assert position == {"topic": prefix + COMMANDS, **expected}

    healthy = await asyncio.to_thread(run, tmp_path, "consumer-groups", "describe", GROUP, "--here")
    assert (healthy.returncode, member["client"] in healthy.stdout) == (0, True)

    assert "give --yes" in (await refused()).stderr
    active = await refused("--yes")
    assert (active.returncode, "has members (ao-4-" in active.stderr) == (3, True)
    await log.leave(GROUP)
    gone = await asyncio.to_thread(run, tmp_path, "consumer-groups", "describe", GROUP, "--here")
    assert (gone.returncode, gone.stderr) == (1, "")
    [before] = (await ask("consumer-groups", "reset", GROUP, "--yes"))["positions"]
    assert before["position"] == 3
    assert await log.committed(GROUP, COMMANDS, 1) == (log.epoch, 0)
    await log.stop()


def test_an_unknown_group_is_not_found(tmp_path: Path, cluster: KafkaTopics) -> None:
    for words in (["describe", "nonsense"], ["reset", "nonsense", "--yes"]):
        done = run(tmp_path, "consumer-groups", *words)
        assert done.returncode == 5
        assert "there is no group" in done.stderr


@pytest.mark.slow
def test_without_a_broker_one_line_says_so(tmp_path: Path) -> None:
    nowhere = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    done = run(tmp_path, "topics", "describe", more=nowhere)
    assert done.returncode == 8
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: connecting to {nowhere['KAFKA_BOOTSTRAP_SERVERS']}: ")
