"""The graph on Neo4j compared with the log on Kafka, damaged, repaired and filled anew, while it is
read. `AO_REBUILD_EVENTS` says how many events there are."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from neo4j import AsyncGraphDatabase

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.config import Config, load_config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.operations import Backup, Fill, Operation, Rebuild, Restore
from agent_orchestration.pipeline.partitions import partition_of
from bench.company import TENANT
from bench.fold import append_history
from tests.e2e.real.installation import EMPTY, Installation, installed
from tests.integration.corruption import corrupt
from tests.services import neo4j

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
EVENTS = int(os.environ.get("AO_REBUILD_EVENTS", "3000"))
ENTITIES = tuple(REGISTRY.entities.values())


@pytest.fixture
def installation(tmp_path: Path, database: neo4j.Address) -> Iterator[Installation]:
    with installed(tmp_path, database) as prepared:
        yield prepared


@pytest.fixture
def config(installation: Installation) -> Config:
    file = installation.folder / "config.yaml"
    variables = {
        "NEO4J_PASSWORD": installation.database.password,
        "AGENT_ORCHESTRATION_BACKUPS": str(installation.folder / "backups"),
    }
    return load_config(file, environ=variables)


@asynccontextmanager
async def platform(config: Config, name: str | None, *, decides: bool) -> AsyncGenerator[Platform]:
    found = Platform(open_backends(config), process=name, decides=decides)
    try:
        await found.start()
        yield found
    finally:
        await found.stop()


Execute = Callable[[str, dict[str, Any]], Awaitable[None]]


@pytest.fixture
async def execute(config: Config) -> AsyncIterator[Execute]:
    """Run a statement behind the platform's back."""
    auth = (config.database.username, neo4j.PASSWORD)

    async def execute(statement: str, parameters: dict[str, Any]) -> None:
        async with driver.session() as session:  # pyright: ignore[reportUnknownMemberType]
            await (await session.run(cast("Any", statement), parameters)).consume()

    async with AsyncGraphDatabase.driver(config.database.uri, auth=auth) as driver:  # pyright: ignore[reportUnknownMemberType]
        yield execute


async def emptied(execute: Execute) -> None:
    for statement in EMPTY:
        await execute(statement, {})


async def filled(config: Config) -> int:
    """The graph of a long history; how many events it has."""
    partition = partition_of(TENANT, config.kafka.num_partitions)
    async with platform(config, "writer", decides=False) as found:
        count = await append_history(found._backends, partition, EVENTS)  # pyright: ignore[reportPrivateUsage]
        result = await operated(found, Rebuild())
        assert result["equal"]
        assert result["events"] == count
    return count


async def operated(found: Platform, operation: Operation) -> dict[str, Any]:
    steps = [step async for step in found.operate(operation)]
    return steps[-1]


class Reader:
    """Reads for as long as it lasts, in a process that folds nothing; counts its answers."""

    def __init__(self, found: Platform) -> None:
        self._platform = found
        self.answers = 0
        self.fewest = 2**62
        self.longest = 0.0

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            answer = await self._platform.call("list_tasks", {"limit": 50}, Caller(tenant=TENANT))
            self.longest = max(self.longest, clock() - began)
            self.fewest = min(self.fewest, len(answer["tasks"]))
            self.answers += 1


async def test_a_damaged_graph_is_repaired_while_it_is_read_and_filled_anew(
    config: Config, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    count = await filled(config)
    async with platform(config, "owner", decides=True) as owner:
        graph = owner._backends.graph  # pyright: ignore[reportPrivateUsage]
        before = await fingerprint(graph, ENTITIES)
        async with platform(config, "reader", decides=False) as other:
            reader = Reader(other)
            reading = asyncio.create_task(reader.run())
            planted = await corrupt(graph, execute, ENTITIES, 50, seed=1)
            assert await fingerprint(graph, ENTITIES) != before
            repaired = await operated(other, Rebuild())
            reading.cancel()
            await asyncio.wait([reading])
        told = {(one["what"], one["label"], one["id"]) for one in repaired["differences"]}
        assert told == planted
        assert await fingerprint(graph, ENTITIES) == before
        assert reader.answers > 10
        assert reader.fewest == 50
        assert (await operated(owner, Rebuild(repair=False)))["equal"]
        # Its owner goes on from where the repair left the partition.
        await owner.call("create_task", {"id": "later", "title": "later"}, Caller(tenant=TENANT))
        assert (await operated(owner, Rebuild(repair=False)))["equal"]
        after = await fingerprint(graph, ENTITIES)
        await owner.stop()
        await emptied(execute)
    async with platform(config, "filler", decides=False) as found:
        new = await operated(found, Fill(config.database.uri))
        assert new["events"] == count + 1
        graph = found._backends.graph  # pyright: ignore[reportPrivateUsage]
        assert await fingerprint(graph, ENTITIES) == after
    with capsys.disabled():
        print(  # noqa: T201
            f"\nrebuild of {count} events: compared and repaired in {repaired['seconds']:.1f} s,"
            f" {repaired['nodes']} nodes; {reader.answers} reads meanwhile, the slowest"
            f" {reader.longest * 1000:.0f} ms; filled anew in {new['seconds']:.1f} s"
            f" ({new['events'] / new['seconds']:,.0f} events/s)"
        )


async def test_a_backup_is_restored_and_what_came_later_is_folded(
    config: Config, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    count = await filled(config)
    caller = Caller(tenant=TENANT)
    async with platform(config, "owner", decides=True) as owner:
        graph = owner._backends.graph  # pyright: ignore[reportPrivateUsage]
        made = await operated(owner, Backup())
        before = await fingerprint(graph, ENTITIES)
        await owner.call("create_task", {"id": "later", "title": "later"}, caller)
        assert (await owner.call("get_task", {"task_id": "later"}, caller))["task"]
        after = await fingerprint(graph, ENTITIES)
    await emptied(execute)
    async with platform(config, "restorer", decides=False) as found:
        restored = await operated(found, Restore())
        assert restored["equal"]
        graph = found._backends.graph  # pyright: ignore[reportPrivateUsage]
        assert await fingerprint(graph, ENTITIES) == before
    async with platform(config, "owner", decides=True) as owner:
        assert (await owner.call("get_task", {"task_id": "later"}, caller))["task"]
        graph = owner._backends.graph  # pyright: ignore[reportPrivateUsage]
        assert await fingerprint(graph, ENTITIES) == after
    with capsys.disabled():
        print(  # noqa: T201
            f"\nbackup of {count} events: made and verified in {made['seconds']:.1f} s, restored in"
            f" {restored['seconds']:.1f} s"
        )
