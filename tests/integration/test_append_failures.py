"""Appends that fail, or whose outcome nobody knows: everybody gets an answer, once."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log import OutcomeUnknown
from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import PlatformError, Unavailable
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, PARTITIONS, SYSTEM_EVENTS
from tests.integration.watched import Gate
from tests.integration.world import World, until, until_async

Fault = Callable[[int], Exception | None]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that had to stop begins again at once."""
    monkeypatch.setattr("agent_orchestration.pipeline.partition.RETRY_SECONDS", (0.0,) * 6)


def unknown() -> OutcomeUnknown:
    return OutcomeUnknown("log_outcome_unknown", "nobody knows")


def failing(chance: random.Random, share: float) -> Fault:
    """A share of the appends fails: before, after, or without being done."""

    def fault(number: int) -> Exception | None:
        if chance.random() >= share:
            return None
        how = chance.choice(["before", "after", "refused"])
        if how == "after":
            return unknown()
        raise unknown() if how == "before" else Unavailable("log_unavailable", "not now")

    return fault


@pytest.mark.parametrize("after", [True, False])
async def test_one_append_in_doubt(tmp_path: Path, after: bool) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        doubtful = world.log.appends[EVENTS] + 1

        def fault(number: int) -> Exception | None:
            if number == doubtful:
                if after:
                    return unknown()
                raise unknown()
            return None

        world.log.faults[EVENTS] = fault
        answers = await asyncio.gather(*(world.task(f"t{n}") for n in range(20)))
        assert [answer["task"]["id"] for answer in answers] == [f"t{n}" for n in range(20)]
        assert (await world.types()).count("TaskCreated") == 20
        await world.is_fold_of_log()


async def persistent(world: World, tool: str, **arguments: Any) -> dict[str, Any]:
    """Repeat the same call until it is answered for good, as clients do."""
    while True:
        try:
            return await world.call(tool, **arguments)
        except Unavailable:
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(6))
async def test_appends_that_fail_at_random(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with World(tmp_path) as world:
        await world.agent("ann", max_concurrency=100)
        for topic in (COMMANDS, EVENTS, SYSTEM_EVENTS):
            world.log.faults[topic] = failing(chance, 0.3)

        async def lifecycle(number: int) -> None:
            name = f"t{number}"
            await persistent(world, "create_task", id=name, title=name, idempotency_key=name)
            claim = await persistent(world, "claim_task", agent_id="ann", idempotency_key=name)
            held = {"task_id": claim["task"]["id"], "agent_id": "ann", "attempt": claim["attempt"]}
            await persistent(world, "complete_task", **held, idempotency_key=name)
            with pytest.raises(PlatformError):
                await world.call("create_task", id=name, title="other")

        await asyncio.gather(*(lifecycle(number) for number in range(25)))
        world.log.faults.clear()
        types = await world.types()
        for kind in ("TaskCreated", "TaskClaimed", "TaskCompleted"):
            assert types.count(kind) == 25
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_every_call_without_a_key_is_answered(tmp_path: Path) -> None:
    chance = random.Random(3)
    async with World(tmp_path) as world:
        world.log.faults[COMMANDS] = failing(chance, 0.4)
        world.log.faults[EVENTS] = failing(chance, 0.4)
        calls = [world.task(f"t{number}") for number in range(100)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        world.log.faults.clear()
        await world.settled()
        created = {e.command_id for e in await world.events()}
        assert len(created) == len(await world.events())
        for number, answer in enumerate(answers):
            if isinstance(answer, BaseException):
                assert isinstance(answer, Unavailable)
            else:
                found = await world.call("get_task", task_id=f"t{number}")
                assert found["task"]["id"] == answer["task"]["id"]
        await world.is_fold_of_log()


async def test_a_log_that_refuses_for_long_is_asked_with_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.pipeline.partition.RETRY_SECONDS", (0.05,) * 6)
    async with World(tmp_path) as world:
        await world.task("a")
        refused: list[int] = []

        def fault(number: int) -> Exception | None:
            refused.append(number)
            raise Unavailable("log_unavailable", "disk full")

        world.log.faults[EVENTS] = fault
        call = asyncio.create_task(world.task("b"))
        _, pending = await asyncio.wait([call], timeout=0.5)
        assert pending
        # Two attempts, a pause, two attempts …
        assert 2 <= len(refused) <= 25
        world.log.faults.clear()
        assert (await call)["task"]["id"] == "b"
        await world.is_fold_of_log()


async def test_only_the_last_copy_of_a_command_says_that_nothing_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first copy is refused, the second is not: between them, somebody made it possible."""
    async with World(tmp_path) as world:
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        stuck = asyncio.create_task(world.agent("ann"))
        await until(lambda: gate.waiting == 1, "the processor waits for its append")
        monkeypatch.setattr("agent_orchestration.pipeline.command_bus.PATIENCE_SECONDS", (0, 50))
        sent = (await world.log.bounds(COMMANDS, partition_of(DEFAULT_TENANT, PARTITIONS)))[1]
        cancelled = asyncio.create_task(world.call("cancel_task", task_id="t1"))
        created = asyncio.create_task(world.task("t1"))

        async def all_sent() -> bool:
            records = await world.records(COMMANDS, partition_of(DEFAULT_TENANT, PARTITIONS))
            names = [record.headers["ce_type"] for record in records[sent:]]
            assert names[:2] == ["CancelTask", "CreateTask"]
            return names.count("CancelTask") == 2

        await until_async(all_sent, "both copies are there")
        gate.open()
        assert (await cancelled)["task"]["status"] == "cancelled"
        await asyncio.gather(stuck, created)
        assert [one.type for one in await world.events()][-1] == "TaskCancelled"


async def test_while_a_copy_may_still_be_appended_nobody_is_told_that_nothing_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The append of the first copy hangs, the second one waits behind it, then the first fails."""
    async with World(tmp_path) as world:
        monkeypatch.setattr("agent_orchestration.pipeline.command_bus.PATIENCE_SECONDS", (0, 50))
        gate = world.log.gates[COMMANDS] = Gate()
        gate.close()

        def first_fails(number: int) -> None:
            if number == 1:
                raise Unavailable("log_unavailable", "not now")

        world.log.faults[COMMANDS] = first_fails
        created = asyncio.create_task(world.task("t1"))
        await until(lambda: gate.waiting == 1, "the first append hangs")
        outbox = world.platform.bus._outbox  # pyright: ignore[reportPrivateUsage]
        await until(lambda: any(outbox.values()), "the second copy waits")
        gate.open()
        assert (await created)["task"]["id"] == "t1"
        assert await world.types() == ["TaskCreated"]
