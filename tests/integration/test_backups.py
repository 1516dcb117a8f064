"""The graph as files: made from the log, verified by restoring, pruned, and restored."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.backups import Backups, Manifest
from agent_orchestration.backends.graph import Graph, snapshot
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.log import DAY_MS
from agent_orchestration.backends.store import Store
from agent_orchestration.config import Backups as Settings
from agent_orchestration.core.errors import Conflict, Corrupt, NotFound, Rejected
from agent_orchestration.core.operations import Backup, ListBackups, Rebuild, Restore
from agent_orchestration.pipeline.scratch import Scratch
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.integration.test_archive import operated
from tests.integration.test_rebuild import busy_history, nothing_invented
from tests.integration.world import Clock, World

ENTITIES = tuple(REGISTRY.entities.values())


class KeepingWorld(World):
    """Its backups are in `backups/` in its folder."""

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        super().__init__(folder, clock, backups=Settings(url=str(folder / "backups")))
        self.backups = Backups(Store(str(folder / "backups")), 30 * DAY_MS, ENTITIES)


@asynccontextmanager
async def empty(folder: Path) -> AsyncGenerator[KgliteGraph]:
    graph = KgliteGraph(folder / "other" / "graph.kgl", ENTITIES)
    await graph.start()
    try:
        yield graph
    finally:
        await graph.stop()


async def load(backups: Backups, graph: Graph, name: str | None = None) -> Manifest:
    made = await backups.named(name)
    async for _ in backups.load(made, graph):
        pass
    return made


async def fold_rest(world: World, graph: Graph) -> None:
    services = world.platform._services  # pyright: ignore[reportPrivateUsage]
    scratch = Scratch(services, graph)
    for number in range(PARTITIONS):
        _, end = await world.log.bounds(EVENTS, number)
        async for _ in scratch.fold(number, end):
            pass


@pytest.mark.parametrize("lines", [7, snapshot.LINES])
async def test_what_is_restored_and_then_follows_the_log_is_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(snapshot, "LINES", lines)
    async with KeepingWorld(tmp_path, Clock()) as world:
        for tenant in ("default", "acme"):
            await busy_history(world, tenant)
        await world.settled_everywhere()
        then = await world.fingerprint()
        made = await operated(world, Backup())
        assert made["fingerprint"] == then
        assert made["pruned"] == []
        await busy_history(world, "umbrella")
        await world.settled_everywhere()
        now = await world.fingerprint()
        async with empty(tmp_path) as graph:
            manifest = await load(world.backups, graph)
            assert manifest.name == made["name"]
            assert sum(manifest.positions) == made["events"]
            assert await fingerprint(graph, ENTITIES) == then
            await nothing_invented(graph)
            await fold_rest(world, graph)
            assert await fingerprint(graph, ENTITIES) == now
        [told] = (await operated(world, ListBackups()))["backups"]
        assert (told["name"], told["lines"]) == (made["name"], made["lines"])
        assert (await operated(world, Rebuild(repair=False)))["equal"]


async def test_a_backup_begins_with_the_one_before(tmp_path: Path) -> None:
    clock = Clock()
    async with KeepingWorld(tmp_path, clock) as world:
        await busy_history(world, "default")
        await operated(world, Backup())
        clock.pass_seconds(1)
        await world.task("later")
        await world.settled_everywhere()
        # With the first one there is no need of the events before it.
        for number in range(PARTITIONS):
            _, end = await world.log.bounds(EVENTS, number)
            await world.log.delete_before(EVENTS, number, max(end - 2, 0))
        made = await operated(world, Backup())
        assert made["fingerprint"] == await world.fingerprint()
        shutil.rmtree(tmp_path / "backups")
        with pytest.raises(Rejected, match="cannot be made from this log"):
            await operated(world, Backup())


async def test_an_interrupted_restore_goes_on_and_nobody_works_on_half_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LINES", 20)
    async with KeepingWorld(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        await world.settled_everywhere()
        await operated(world, Backup())
        async with empty(tmp_path) as graph:
            loading = world.backups.load(await world.backups.named(None), graph)
            for _ in range(5):
                await anext(loading)
            await loading.aclose()
            assert await fingerprint(graph, ENTITIES) != await world.fingerprint()
            with pytest.raises(Corrupt, match="another log"):
                await fold_rest(world, graph)
            for _ in range(2):
                await load(world.backups, graph)
                assert await fingerprint(graph, ENTITIES) == await world.fingerprint()
            await world.task("later")
            await fold_rest(world, graph)
            with pytest.raises(Conflict, match="not empty"):
                await load(world.backups, graph)


async def test_damage_and_other_versions_are_refused(tmp_path: Path) -> None:
    async with KeepingWorld(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        made = await operated(world, Backup())
        manifest = await world.backups.named(made["name"])
        name = manifest.files[0].name
        data = await world.backups.store.get(name)
        await world.backups.store.put(name, data[:-1])
        async with empty(tmp_path) as graph:
            with pytest.raises(Corrupt, match="use another backup"):
                await load(world.backups, graph)
        other = msgspec.structs.replace(manifest, shape="other", version="0.0")
        async with empty(tmp_path / "b") as graph:
            with pytest.raises(Rejected, match=r"of version 0\.0"):
                async for _ in world.backups.load(other, graph):
                    pass
        with pytest.raises(NotFound, match="no backup nothing"):
            await world.backups.named("nothing")


async def test_backups_are_kept_for_thirty_days_and_the_last_one_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    async with KeepingWorld(tmp_path, clock) as world:
        await world.task("a")
        names: list[str] = []
        for _ in range(35):
            made = await operated(world, Backup())
            names.append(made["name"])
            clock.pass_seconds(86_400)
        kept = [one.name for one in await world.backups.all()]
        assert kept == names[-31:]
        clock.pass_seconds(90 * 86_400)
        # What was never finished is no backup.
        await world.backups.store.put("20260101T000000Z-000/nodes-000000.jsonl.gz", b"x")
        assert await world.backups.prune(clock.now) == ["20260101T000000Z-000", *names[-31:-1]]
        assert [one.name for one in await world.backups.all()] == names[-1:]
        files = await world.backups.store.names()
        assert all(name.startswith(names[-1]) for name in files)


async def test_a_graph_that_somebody_works_on_is_not_restored(tmp_path: Path) -> None:
    async with KeepingWorld(tmp_path, Clock()) as world:
        await world.task("a")
        await operated(world, Backup())
        with pytest.raises(Conflict, match="stop all processors"):
            await operated(world, Restore())
        with pytest.raises(Rejected, match="NEO4J_PASSWORD"):
            await operated(world, Restore(into="bolt://localhost:1"))


async def test_work_goes_on_during_a_backup(tmp_path: Path) -> None:
    async with KeepingWorld(tmp_path, Clock()) as world:
        await busy_history(world, "default")
        backup = asyncio.create_task(operated(world, Backup()))
        number = 0
        while not backup.done():
            number += 1
            await world.task(f"during-{number}")
        assert number > 5
        made: dict[str, Any] = await backup
        async with empty(tmp_path) as graph:
            await load(world.backups, graph, made["name"])
            await fold_rest(world, graph)
            await world.settled_everywhere()
            assert await fingerprint(graph, ENTITIES) == await world.fingerprint()


async def test_without_a_place_there_are_no_backups(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for operation in (Backup(), ListBackups(), Restore()):
            with pytest.raises(Rejected, match=r"backups\.url"):
                await operated(world, operation)
