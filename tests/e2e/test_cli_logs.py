"""An installation grows up: from a data folder to Kafka and Neo4j, and back; and goes on after the
log lost records."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.backends import Backends
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.config import Config, Database
from agent_orchestration.core.dispatch import LOCAL_OPERATOR, Caller
from agent_orchestration.core.envelope import CommandEnvelope
from agent_orchestration.core.messages import canonical
from agent_orchestration.data_folder import DataFolder
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, topics
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.e2e.program import run
from tests.integration.test_rebuild import busy_history
from tests.integration.world import Clock, World, until_async
from tests.services import kafka

pytestmark = pytest.mark.process
TENANTS = ("default", "acme", "tenant-1")
#: Stands still, so that nothing becomes due between two looks at a graph.
CLOCK = Clock()
Kept = tuple[bytes, bytes, dict[str, str]]


@pytest.fixture
async def cluster(tmp_path: Path, neo4j_database: Database) -> AsyncIterator[KafkaTopics]:
    async with own_topics(kafka.bootstrap_servers(), num_partitions=3) as found:
        password = neo4j_database.password
        assert password is not None
        settings = {
            "data": str(tmp_path / "shared"),
            "kafka": found.settings.model_dump(mode="json", exclude_defaults=True),
            "database": {**dict(neo4j_database), "password": password.get_secret_value()},
        }
        (tmp_path / "config.yaml").write_text(json.dumps(settings))
        await found.make(topics(REGISTRY, 3))
        yield found


def shared(folder: Path, cluster: KafkaTopics, database: Database) -> Config:
    return Config(
        backend="kafka-neo4j", data=folder / "shared", kafka=cluster.settings, database=database
    )


async def program(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(run, folder, *words)


async def copied(folder: Path, *words: str) -> Any:
    done = await program(folder, "copy-log", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def histories(log: Log) -> dict[str, list[Kept]]:
    """Each tenant's events as the log keeps them."""
    assert isinstance(log, ClaimCheckLog)
    found: dict[str, list[Kept]] = {}
    for partition in range(log.topics()[EVENTS].partitions):
        async for records in batches(log.inner, EVENTS, partition):
            for record in records:
                its = found.setdefault(record.key.decode(), [])
                its.append((record.key, record.value, dict(record.headers)))
    return found


@asynccontextmanager
async def at_work(config: Config) -> AsyncGenerator[tuple[Platform, Backends]]:
    """The platform, when it has folded everything."""
    backends = open_backends(config, CLOCK)
    platform = Platform(backends, CLOCK)

    async def is_ready() -> bool:
        return bool((await platform.status())["ready"])

    try:
        await platform.start()
        await until_async(is_ready, "ready")
        yield platform, backends
    finally:
        await platform.stop()


async def graph_of(backends: Backends) -> str:
    return await fingerprint(backends.graph, REGISTRY.entities.values())


async def test_to_kafka_and_neo4j_and_back(
    tmp_path: Path, cluster: KafkaTopics, neo4j_database: Database
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    async with World(here, CLOCK) as world:
        for tenant in TENANTS:
            await busy_history(world, tenant)
            await world.call("create_task", tenant, id="large", title="l", payload="x" * 100_000)
            await world.settled(tenant)
    embedded = Config(data=here)
    async with at_work(embedded) as (_, backends):
        before, drawn = await histories(backends.log), await graph_of(backends)

    moved = await copied(tmp_path, "--from", "embedded", "--to", "kafka-neo4j", "--data", str(here))
    counts = {"tenants": 3, "events": sum(map(len, before.values())), "commands": 0, "blobs": 3}
    assert {name: moved[name] for name in counts} == counts
    assert moved["next"] == [
        "set backend: kafka-neo4j in config.yaml, then start `processor` and `serve`"
    ]
    config = shared(tmp_path, cluster, neo4j_database)
    async with at_work(config) as (platform, backends):
        assert backends.log.epoch == moved["epoch"]
        assert await histories(backends.log) == before
        assert await graph_of(backends) == drawn
        shown = await platform.call("get_task", {"task_id": "large"}, Caller())
        assert len(await platform.read_blob(shown["task"]["payload"]["$blob"], Caller())) == 100_002
        await platform.call("create_task", {"id": "new", "title": "new"}, Caller())
        during = await histories(backends.log)
        assert len(during["default"]) == len(before["default"]) + 1
    await leave_a_command(config)

    back = await copied(tmp_path, "--from", "kafka-neo4j", "--to", "embedded", "--data", str(there))
    assert (back["events"], back["commands"]) == (counts["events"] + 1, 1)
    assert moved["epoch"] < back["epoch"]
    async with World(there, CLOCK) as world:
        for tenant in TENANTS:
            await world.is_fold_of_log(tenant)
        types = await world.types()
        assert len(types) == len(before["default"]) + 2
        assert types[-2:] == ["TaskCreated"] * 2
        await world.rebuilt_equal()
    assert (await histories_in(there))["default"][:-1] == during["default"]

    again = await program(
        tmp_path, "copy-log", "--from", "kafka-neo4j", "--to", "embedded", "--data", str(there)
    )
    assert (again.returncode, "is a whole copy of this one already" in again.stderr) == (3, True)


async def leave_a_command(config: Config) -> None:
    """A command that nobody decides."""
    log = open_backends(config).log
    await log.start()
    command = CreateTask(task_id="left", title="left")
    envelope = CommandEnvelope(
        id="left",
        tenant="default",
        type="CreateTask",
        body=canonical(command),
        principal=LOCAL_OPERATOR,
    )
    await log.append(COMMANDS, partition_of("default", 3), [envelope.to_record()])
    await log.stop()


async def histories_in(folder: Path) -> dict[str, list[Kept]]:
    log = open_backends(Config(data=folder)).log
    await log.start()
    try:
        return await histories(log)
    finally:
        await log.stop()


async def test_it_is_refused_while_somebody_is_at_work(
    tmp_path: Path, cluster: KafkaTopics, neo4j_database: Database
) -> None:
    async with World(tmp_path / "shared") as world:
        await world.task("t")
    words = ["copy-log", "--from", "embedded", "--to", "kafka-neo4j"]
    owner = DataFolder(tmp_path / "shared")
    assert owner.try_own()
    owner.announce("http://127.0.0.1:9", "token")
    done = await program(tmp_path, *words)
    assert (done.returncode, "process " in done.stderr, "end it" in done.stderr) == (3, True, True)
    owner.release()

    async def told(_: frozenset[int]) -> None:
        pass

    log = open_backends(shared(tmp_path, cluster, neo4j_database)).log
    await log.start()
    await log.join(GROUP, [COMMANDS, EVENTS], told, told)
    for refused in (words, ["topics", "create", "--new-epoch", "--yes"]):
        done = await program(tmp_path, *refused)
        assert (done.returncode, "has members (ao-" in done.stderr) == (3, True)
    await log.stop()
    done = await program(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "1 events of 1 tenants" in done.stdout


async def test_a_graph_that_was_used_is_to_be_rebuilt(
    tmp_path: Path, cluster: KafkaTopics, neo4j_database: Database
) -> None:
    config = shared(tmp_path, cluster, neo4j_database)
    async with at_work(config) as (platform, _):
        await platform.call("create_task", {"id": "old", "title": "old"}, Caller())
    await cluster.delete_all()
    await cluster.make(topics(REGISTRY, 3))
    async with World(tmp_path / "here") as world:
        await world.task("t")
    found = await copied(
        tmp_path, "--from", "embedded", "--to", "kafka-neo4j", "--data", str(tmp_path / "here")
    )
    assert "run `rebuild`" in found["next"][0]
    platform = Platform(open_backends(config))

    async def says_so() -> bool:
        checks = (await platform.status())["checks"].values()
        return any("built from another log" in check["detail"] for check in checks)

    await platform.start()
    await until_async(says_so, "the partition to stop")
    await platform.stop()


def test_a_folder_without_a_log_is_not_copied(tmp_path: Path) -> None:
    words = ["--from", "embedded", "--to", "kafka-neo4j", "--data", str(tmp_path / "nothing")]
    done = run(tmp_path, "copy-log", *words, more={"NEO4J_PASSWORD": "p"})
    assert (done.returncode, "there is no log in" in done.stderr) == (5, True)
    assert not (tmp_path / "nothing").exists()
    same = run(tmp_path, "copy-log", "--from", "embedded", "--to", "embedded")
    assert (same.returncode, "are the same" in same.stderr) == (2, True)


async def test_a_log_that_lost_its_events_goes_on_under_a_new_epoch(
    tmp_path: Path, cluster: KafkaTopics, neo4j_database: Database
) -> None:
    config = shared(tmp_path, cluster, neo4j_database)
    words = ["topics", "create", "--new-epoch"]
    async with at_work(config) as (platform, backends):
        for name in "abc":
            await platform.call("create_task", {"id": name, "title": name}, Caller())
        before = backends.log.epoch
    unneeded = await program(tmp_path, *words)
    assert (unneeded.returncode, "nothing is missing" in unneeded.stdout) == (0, True)

    await cluster.delete(cluster.settings.prefix + EVENTS)
    unasked = await program(tmp_path, *words)
    assert (unasked.returncode, "give --yes" in unasked.stderr) == (2, True)
    [row] = [line for line in unasked.stdout.splitlines() if line.startswith("default ")]
    assert row.split() == ["default", "1", "to", "3", "1", "to", "3", "goes", "on"]
    done = await program(tmp_path, *words, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert before < found["epoch"]
    [lost] = found["tenants"]
    assert (lost["tenant"], lost["missing"], lost["set_aside"]) == ("default", [[1, 3]], "")
    async with at_work(config) as (platform, backends):
        assert backends.log.epoch == found["epoch"]
        await platform.call("create_task", {"id": "d", "title": "d"}, Caller())
        [event] = (await histories(backends.log))["default"]
        assert event[2]["ce_seq"] == "4"
        assert len((await platform.call("list_tasks", {}, Caller()))["tasks"]) == 4
