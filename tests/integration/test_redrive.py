"""What was set aside is listed, explained, and brought back."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.graph import CheckpointMoved, GraphWrite
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Busy, Conflict, NotFound, Rejected, Unavailable
from agent_orchestration.core.operations import (
    ListSetAside,
    Rebuild,
    Redrive,
    SettleLetter,
)
from agent_orchestration.pipeline import redriving
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, DEAD_LETTERS, EVENTS, PARTITIONS
from tests.integration.test_archive import operated
from tests.integration.test_dead_letters import command
from tests.integration.test_poison import BAD, GOOD, poisoned, quarantined
from tests.integration.world import World, until_async

HOME = partition_of("default", PARTITIONS)


async def listed(world: World) -> dict[str, Any]:
    return await operated(world, ListSetAside())


@pytest.mark.parametrize("batch", [1, 3, redriving.BATCH])
async def test_a_quarantined_tenant_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(redriving, "BATCH", batch)
    async with World(tmp_path) as world:
        await poisoned(world)
        [aside] = (await listed(world))["tenants"]
        assert (aside["tenant"], aside["seq"]) == (BAD, 5)
        assert "event 6 (TaskCreated): poisonous" in aside["reason"]
        with pytest.raises(Conflict, match="stays quarantined at event 6: poisonous"):
            await operated(world, Redrive(BAD))
        assert (await listed(world))["tenants"] == [aside]
        await world.task("meanwhile", GOOD)
        world.graph.refuse = lambda _: None
        done = await operated(world, Redrive(BAD))
        assert done == {"tenant": BAD, "events": 6}
        assert (await listed(world))["tenants"] == []
        assert await quarantined(world, BAD) is None
        assert (await world.task("more", BAD))["seq"] == 12
        await world.task("more", GOOD)
        for tenant in (BAD, GOOD):
            await world.is_fold_of_log(tenant)
        assert (await operated(world, Rebuild(repair=False)))["equal"]
        with pytest.raises(NotFound, match="is not quarantined"):
            await operated(world, Redrive(BAD))


async def test_a_redrive_that_is_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "BATCH", 2)
    async with World(tmp_path) as world:
        await poisoned(world)
        world.graph.refuse = lambda _: None
        steps: Any = world.platform.operate(Redrive(BAD))
        assert (await anext(steps))["done"] == 2
        await steps.aclose()
        [aside] = (await listed(world))["tenants"]
        assert aside["seq"] == 7
        with pytest.raises(Unavailable, match="set aside"):
            await world.task("more", BAD)
        assert (await operated(world, Redrive(BAD)))["events"] == 4
        await world.is_fold_of_log(BAD)


async def test_a_partition_that_goes_on_is_tried_again(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await poisoned(world)
        moved = [3]

        def moves(_: GraphWrite) -> None:
            if moved[0]:
                moved[0] -= 1
                raise CheckpointMoved("checkpoint_moved", "another one")

        world.graph.refuse = moves
        assert (await operated(world, Redrive(BAD)))["events"] == 6
        await world.is_fold_of_log(BAD)


async def test_a_partition_that_never_stands_still_is_said_to_be_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "TRIES", 3)
    async with World(tmp_path) as world:
        await poisoned(world)

        def moves(_: GraphWrite) -> None:
            raise CheckpointMoved("checkpoint_moved", "always")

        world.graph.refuse = moves
        with pytest.raises(Busy, match="never stood still"):
            await operated(world, Redrive(BAD))


# --- dead letters --------------------------------------------------------------------------------


async def lettered(world: World, topic: str, record: Record) -> dict[str, Any]:
    """A letter that came from there."""
    await world.log.append(topic, HOME, [record])

    async def arrived() -> bool:
        return bool(await world.records(DEAD_LETTERS))

    await until_async(arrived, "a dead letter")
    [letter] = (await listed(world))["letters"]
    return letter


async def test_a_dead_letter_is_explained_and_given_up(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        letter = await lettered(world, EVENTS, Record(b"?", b"nonsense"))
        assert letter["origin"] == f"{EVENTS}/{HOME}/0"
        assert "lacks the header" in letter["reason"]
        assert letter["bytes"] == 8
        with pytest.raises(Rejected, match="is no command: give it up"):
            await operated(world, SettleLetter(letter["place"]))
        done = await operated(world, SettleLetter(letter["place"], give_up="a test"))
        assert done["given_up"]
        assert (await listed(world))["letters"] == []
        with pytest.raises(NotFound, match="no letter"):
            await operated(world, SettleLetter(letter["place"], give_up="again"))
        kept = await world.records(DEAD_LETTERS)
        assert kept[-1].headers["reason"] == "a test"


async def test_a_command_that_can_be_read_by_now_is_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path) as world:
        with monkeypatch.context() as patch:

            def unknown(*_: object) -> object:
                raise ValueError("unknown command type CreateTask")

            patch.setattr(type(world.platform.registry), "decode_command", unknown)
            letter = await lettered(world, COMMANDS, command())
        assert "unknown command type" in letter["reason"]
        done = await operated(world, SettleLetter(letter["place"]))
        assert done == {**done, "given_up": False, "origin": f"{COMMANDS}/{HOME}/0"}
        assert (await listed(world))["letters"] == []
        await world.settled()
        assert await world.types() == ["TaskCreated"]
