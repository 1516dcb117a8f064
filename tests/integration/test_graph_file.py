"""The graph's file is made from the log: lost, damaged or old, it is made again."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import PARTITIONS
from tests.integration.world import World, until_async

HOME = partition_of("default", PARTITIONS)


async def filled(folder: Path, names: list[str]) -> str:
    """A folder with these tasks; answers the graph's fingerprint."""
    async with World(folder) as world:
        for name in names:
            await world.task(name)
            await world.task(name, "acme")
        await world.settled()
        return await world.fingerprint()


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def graph_files(folder: Path) -> list[Path]:
    return files(folder, "graph.kgl*")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\x00" * 4096])
async def test_an_unreadable_graph_is_set_aside_and_made_again(
    tmp_path: Path, content: bytes
) -> None:
    before = await filled(tmp_path, ["a", "b"])
    for path in graph_files(tmp_path):
        path.write_bytes(content)
    async with World(tmp_path) as world:
        await world.settled()
        await world.settled("acme")
        assert await world.fingerprint() == before
        assert (await world.call("get_task", task_id="a"))["task"]["title"] == "a"
        await world.task("c")


async def test_what_was_set_aside_is_kept(tmp_path: Path) -> None:
    await filled(tmp_path, ["a"])
    (tmp_path / "graph.kgl").write_bytes(b"garbage")
    async with World(tmp_path):
        [kept] = files(tmp_path, "unreadable-*-graph.kgl")
        assert kept.read_bytes() == b"garbage"


async def test_a_deleted_graph_is_made_again(tmp_path: Path) -> None:
    before = await filled(tmp_path, ["a", "b"])
    for path in graph_files(tmp_path):
        path.unlink()
    async with World(tmp_path) as world:
        await world.is_fold_of_log()
        await world.is_fold_of_log("acme")
        assert await world.fingerprint() == before


async def test_an_older_graph_catches_up(tmp_path: Path) -> None:
    await filled(tmp_path, ["a"])
    shutil.copytree(tmp_path, tmp_path / "old", ignore=shutil.ignore_patterns("log*"))
    before = await filled(tmp_path, ["b", "c"])
    for path in graph_files(tmp_path):
        path.unlink()
    for path in graph_files(tmp_path / "old"):
        shutil.copy(path, tmp_path)
    async with World(tmp_path) as world:
        await world.is_fold_of_log()
        assert (await world.call("get_task", task_id="c"))["task"]["status"] == "ready"
        await world.settled("acme")
        assert await world.fingerprint() == before


def truncate_log(folder: Path, topic: str, keep: int) -> None:
    """Lose the default tenant's last records, as a restored backup would."""
    with sqlite3.connect(folder / "log.sqlite") as db:
        db.execute(
            'DELETE FROM records WHERE partition = ? AND "offset" >= ? AND topic_id ='
            " (SELECT topic_id FROM topics WHERE name = ?)",
            (HOME, keep, topic),
        )
    db.close()


@pytest.mark.parametrize("topic", ["events", "commands"])
async def test_a_log_that_lost_records_stops_its_partition(tmp_path: Path, topic: str) -> None:
    await filled(tmp_path, ["a", "b", "c"])
    truncate_log(tmp_path, topic, 1)
    async with World(tmp_path) as world:

        async def stopped() -> bool:
            check = (await world.platform.status())["checks"][f"partition-{HOME}"]
            return not check["ok"] and "records are missing" in check["detail"]

        await until_async(stopped, "stopped")
        assert (await world.platform.status())["ready"] is False
        with pytest.raises(Unavailable, match="records are missing") as refused:
            await world.task("d")
        assert refused.value.code == "partition_stopped"
        assert await world.types() == ["TaskCreated"] * (1 if topic == "events" else 3)
        if partition_of("acme", PARTITIONS) != HOME:
            await world.task("d", "acme")


async def test_a_rebuild_does_not_hide_that_the_log_lost_records(tmp_path: Path) -> None:
    await filled(tmp_path, ["a", "b"])
    truncate_log(tmp_path, "events", 1)
    async with World(tmp_path) as world:
        with pytest.raises(Exception, match="records are missing"):
            await world.rebuilt_equal()
        assert (await world.call("get_task", task_id="b"))["task"]["status"] == "ready"


async def test_another_log_stops_everything_until_the_graph_is_rebuilt(tmp_path: Path) -> None:
    await filled(tmp_path, ["a", "b"])
    for path in files(tmp_path, "log.sqlite*"):
        path.unlink()
    async with World(tmp_path) as world:

        async def stopped() -> bool:
            check = (await world.platform.status())["checks"][f"partition-{HOME}"]
            return not check["ok"] and "another log" in check["detail"]

        await until_async(stopped, "stopped")
        with pytest.raises(Unavailable, match="rebuild the graph"):
            await world.task("c")
        steps = [step async for step in world.platform.operate(Rebuild())]
        assert steps[-1]["equal"] is False
        await world.ready()
        await world.task("c")
        assert await world.types() == ["TaskCreated"]
