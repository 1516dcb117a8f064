"""An installation moves to another log: the histories are the same, and every command is decided
once, here or there."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY, open_backends, wall_clock
from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.log import Stamp
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, Record
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable
from agent_orchestration.core.messages import Principal, canonical
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.domain.tasks.commands import ClaimTask, CreateTask
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.log_copy import CopySide, LogCopied, copy_log
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, PARTITIONS, topics
from tests.integration.test_rebuild import busy_history
from tests.integration.watched import Gate
from tests.integration.world import Clock, World, until
from tests.running import running

TENANTS = ("default", "acme", "tenant-1", "tenant-2", "tenant-3")
Told = dict[str, list[tuple[bytes, bytes, dict[str, str]]]]


async def quiet() -> None:
    """Nobody else is there."""


class Side:
    """The log and the blobs of a data folder; its log has `partitions` for commands and events.
    The append with the number `fails_at` fails, before or after it has written."""

    def __init__(self, folder: Path, partitions: int = PARTITIONS) -> None:
        self.folder = folder
        blobs = FolderBlobs(folder / "blobs")
        self.raw = FailingLog(folder / "log.sqlite", topics(REGISTRY, partitions), wall_clock)
        self.side = CopySide(ClaimCheckLog(self.raw, blobs), blobs)

    async def histories(self) -> Told:
        """Each tenant's events as they are kept, in order. The log is open."""
        found: Told = {}
        count = self.raw.topics()[EVENTS].partitions
        for partition in range(count):
            async for records in batches(self.raw, EVENTS, partition):
                for record in records:
                    tenant = record.key.decode()
                    assert partition_of(tenant, count) == partition
                    kept = (record.key, record.value, dict(record.headers))
                    found.setdefault(tenant, []).append(kept)
        return found

    async def commands(self) -> list[CommandEnvelope]:
        """All commands in it. The log is open."""
        found: list[CommandEnvelope] = []
        for partition in range(self.raw.topics()[COMMANDS].partitions):
            async for records in batches(self.raw, COMMANDS, partition):
                found += [CommandEnvelope.from_record(record) for record in records]
        return found


class FailingLog(SqliteLog):
    fails_at = -1
    after_writing = False
    appends = 0

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        self.appends += 1
        if self.appends == self.fails_at and not self.after_writing:
            raise Unavailable("test", "no")
        stamps = await super().append(topic, partition, records)
        if self.appends == self.fails_at:
            raise Unavailable("test", "no")
        return stamps


async def copied(
    source: Side, target: Side, check: Callable[[], Awaitable[None]] = quiet
) -> LogCopied:
    async with running(source.raw):
        return await copy_log(source.side, target.side, check)


async def opened_histories(side: Side) -> Told:
    async with running(side.raw):
        return await side.histories()


async def opened_commands(side: Side) -> list[CommandEnvelope]:
    async with running(side.raw):
        return await side.commands()


def create(name: str, **more: Any) -> CommandEnvelope:
    command = CreateTask(task_id=name, title=name)
    given: dict[str, Any] = {
        "id": f"create-{name}",
        "tenant": "default",
        "type": "CreateTask",
        "body": canonical(command),
        "principal": Principal("somebody", "operator"),
    }
    return CommandEnvelope(**{**given, **more})


async def append(world: World, *commands: CommandEnvelope) -> None:
    for one in commands:
        place = partition_of(one.tenant, PARTITIONS)
        await world.log.append(COMMANDS, place, [one.to_record()])


#: Stands still, so that nothing becomes due between two looks at a graph.
CLOCK = Clock()


async def with_history(folder: Path) -> None:
    async with World(folder, CLOCK) as world:
        for tenant in TENANTS:
            await busy_history(world, tenant)
            await world.call("create_task", tenant, title="large", payload="x" * 100_000)
            await world.settled(tenant)


async def fingerprint_of(folder: Path) -> str:
    """The graph's, when the platform has folded everything in that folder."""
    async with World(folder, CLOCK) as world:
        for tenant in TENANTS:
            await world.is_fold_of_log(tenant)
        return await world.fingerprint()


async def test_there_and_back_every_event_stays_as_it_was(tmp_path: Path) -> None:
    await with_history(tmp_path / "a")
    here, there, back = Side(tmp_path / "a"), Side(tmp_path / "b", 7), Side(tmp_path / "c")
    first = await copied(here, there)
    second = await copied(there, back)
    histories = await opened_histories(here)
    assert await opened_histories(there) == histories
    assert await opened_histories(back) == histories
    events = sum(map(len, histories.values()))
    for found in (first, second):
        assert (found.tenants, found.events) == (len(TENANTS), events)
        assert (found.commands, found.found, found.repeated, found.unreadable) == (0, 0, 0, 0)
        assert (found.blobs, found.missing_blobs) == (len(TENANTS), [])
    assert here.raw.epoch < there.raw.epoch < back.raw.epoch
    assert await fingerprint_of(tmp_path / "c") == await fingerprint_of(tmp_path / "a")
    async with World(tmp_path / "c", CLOCK) as world:
        await world.rebuilt_equal()


async def test_what_is_decided_after_the_move_is_decided_as_ever(tmp_path: Path) -> None:
    """Offsets begin anew: none of them may count as decided before, even where the clock of the
    machine that the source was made on was years ahead."""
    async with World(tmp_path / "a", Clock(4_000_000_000_000)) as world:
        await world.agent("ann")
        for n in range(20):
            await world.task(f"t{n}", idempotency_key=f"k{n}")
    await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    async with World(tmp_path / "b") as world:
        again = await world.task("t3", idempotency_key="k3")
        assert again["task"]["id"] == "t3"
        assert (await world.call("claim_task", agent_id="ann"))["task"]["id"] == "t0"
        await world.task("new")
        assert (await world.types())[21:] == ["TaskClaimed", "TaskCreated"]
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_blobs_come_along(tmp_path: Path) -> None:
    payload = {"text": "y" * 300_000}
    async with World(tmp_path / "a") as world:
        shown = (await world.task("t", payload=payload))["task"]["payload"]
        await world.task("t", "acme", payload=payload)
        # The longest description there is makes a value that the log keeps as a blob of its own.
        plan = [{"id": f"k{n}", "title": "t", "description": "d" * 10_000} for n in range(20)]
        await world.call("submit_plan", id="p", title="p", tasks=plan)
        histories = await world.events()
        assert max(len(event.body) for event in histories) > 100_000
    found = await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    assert found.blobs == 2
    async with World(tmp_path / "b") as world:
        assert [e.digest for e in await world.events()] == [e.digest for e in histories]
        for tenant in ("default", "acme"):
            data = await world.platform.read_blob(shown["$blob"], Caller(tenant=tenant))
            assert data == canonical(payload)


async def test_a_text_that_looks_like_a_blob_is_left_a_text(tmp_path: Path) -> None:
    text = canonical({"$blob": "0" * 64, "bytes": 5}).decode()
    async with World(tmp_path / "a") as world:
        await world.task("t", description=text)
    found = await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    assert found.missing_blobs == ["0" * 64]
    async with World(tmp_path / "b") as world:
        assert (await world.call("get_task", task_id="t"))["task"]["description"] == text


# --- commands that nobody decided ----------------------------------------------------------------


async def test_commands_that_nobody_decided_are_decided_at_the_target(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        await append(
            world,
            create("b", reply_to="15/somebody", waits_ms=5, key="k"),
            create("b", reply_to="15/somebody", waits_ms=5, key="k"),
            create("c", correlation="story"),
            create("d", tenant="acme"),
        )
        await until(lambda: gate.waiting == 2, "two processors before their appends")
    target = Side(tmp_path / "b", 5)
    found = await copied(Side(tmp_path / "a"), target)
    assert (found.events, found.commands) == (1, 3)
    waiting = await opened_commands(target)
    assert {one.id: (one.key, one.correlation, one.reply_to, one.waits_ms) for one in waiting} == {
        "create-b": ("k", None, None, 0),
        "create-c": (None, "story", None, 0),
        "create-d": (None, None, None, 0),
    }
    # And on, to a log with the partitions that a data folder has, which is used much later.
    assert (await copied(target, Side(tmp_path / "c"))).commands == 3
    async with World(tmp_path / "c", Clock(4_000_000_000_000)) as world:
        for tenant in ("default", "acme"):
            await world.is_fold_of_log(tenant)
        assert [event.command_id for event in await world.events()][1:] == ["create-b", "create-c"]
        assert await world.types("acme") == ["TaskCreated"]
        before = await world.types()
        await append(world, create("b", key="k"), create("c"))
        await world.settled()
        assert await world.types() == before


async def test_commands_that_were_decided_are_not_decided_again(tmp_path: Path) -> None:
    """The owner died before it told how far it was. The claim that found nothing would find work
    now; what was sent twice, and the key that was used, would be forgotten by their log times."""
    async with World(tmp_path / "a") as world:
        await world.agent("ann")
        claim = create("x", id="claim", type="ClaimTask", body=canonical(ClaimTask(agent_id="ann")))
        await append(world, claim, create("a"), create("b", key="k"))
        await world.settled()
        assert await world.types() == ["AgentRegistered", "TaskCreated", "TaskCreated"]
    source = Side(tmp_path / "a")
    async with running(source.raw):
        home = partition_of("default", PARTITIONS)
        again = [create("a"), create("b", id="another", key="k"), create("c")]
        await source.raw.append(COMMANDS, home, [one.to_record() for one in again])
        await source.raw.commit(GROUP, COMMANDS, home, 0)
    target = Side(tmp_path / "b")
    assert (await copied(source, target)).commands == 1
    assert [one.id for one in await opened_commands(target)] == ["create-c"]
    async with World(tmp_path / "b") as world:
        await world.is_fold_of_log()
        assert (await world.types())[3:] == ["TaskCreated"]


# --- interrupted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("after_writing", [False, True])
async def test_an_interrupted_copy_goes_on(tmp_path: Path, after_writing: bool) -> None:
    async with World(tmp_path / "a") as world:
        for tenant in TENANTS:
            await world.agent("ann", tenant)
            await world.task("t", tenant)
            await world.call("claim_task", tenant, agent_id="ann")
        gate = world.log.gates[EVENTS] = Gate()
        gate.close()
        await append(world, *(create("late", tenant=tenant) for tenant in TENANTS))
        await until(lambda: gate.waiting >= 2, "processors before their appends")
    source = Side(tmp_path / "a")
    histories = await opened_histories(source)
    whole = Side(tmp_path / "whole", 3)
    expected = await copied(source, whole)
    for number in range(1, whole.raw.appends + 1):
        folder = tmp_path / f"{number}"
        cut = Side(folder, 3)
        cut.raw.fails_at, cut.raw.after_writing = number, after_writing
        with pytest.raises(Unavailable):
            await copied(source, cut)
        # Until it is whole nobody can take it for the log.
        for _ in range(2):
            with pytest.raises(Rejected, match=r"copy-log` did not end.*repeat it") as refused:
                await SqliteLog(folder / "log.sqlite", topics(REGISTRY, 3), wall_clock).start()
            assert refused.value.code == "log_unfinished"
        again = Side(folder, 3)
        found = await copied(source, again)
        assert (found.events, found.commands) == (expected.events, len(TENANTS))
        assert await opened_histories(again) == histories
        assert len(await opened_commands(again)) == len(TENANTS)


async def test_the_platform_does_not_start_on_half_a_copy(tmp_path: Path) -> None:
    await with_history(tmp_path / "a")
    cut = Side(tmp_path / "b")
    cut.raw.fails_at = 2
    with pytest.raises(Unavailable):
        await copied(Side(tmp_path / "a"), cut)
    with pytest.raises(Rejected, match="did not end"):
        async with World(tmp_path / "b"):
            pass
    await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    assert await fingerprint_of(tmp_path / "b") == await fingerprint_of(tmp_path / "a")


async def test_a_source_that_went_on_is_copied_on_or_refused(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
    cut = Side(tmp_path / "b")
    cut.raw.fails_at = 2
    source = Side(tmp_path / "a")
    async with running(source.raw):
        home = partition_of("default", PARTITIONS)
        await source.raw.append(COMMANDS, home, [create("b").to_record(), create("c").to_record()])
    cut.raw.after_writing = True
    with pytest.raises(Unavailable):
        await copied(source, cut)
    async with World(tmp_path / "a") as world:
        await world.settled()
    with pytest.raises(Rejected, match="source decided 2 commands since"):
        await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    # Without commands there it is only longer.
    cut = Side(tmp_path / "c")
    cut.raw.fails_at, cut.raw.after_writing = 1, True
    with pytest.raises(Unavailable):
        await copied(Side(tmp_path / "a"), cut)
    async with World(tmp_path / "a") as world:
        await world.task("d")
    found = await copied(Side(tmp_path / "a"), Side(tmp_path / "c"))
    assert (found.found, found.events) == (3, 4)


async def test_a_source_at_work_is_refused_and_the_copy_stays_unfinished(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
    source, target = Side(tmp_path / "a"), Side(tmp_path / "b")
    home = partition_of("default", PARTITIONS)

    class Busy(FailingLog):
        async def append(self, topic: str, partition: int, records: Sequence[Record]) -> Any:
            await source.raw.append(COMMANDS, home, [create("b").to_record()])
            return await super().append(topic, partition, records)

    target.raw.__class__ = Busy
    with pytest.raises(Rejected, match="went on while it was copied"):
        await copied(source, target)
    turns = iter([None, Rejected("group_active", "somebody is there")])

    async def not_quiet() -> None:
        if (error := next(turns)) is not None:
            raise error

    with pytest.raises(Rejected, match="somebody is there"):
        await copied(source, Side(tmp_path / "b"), not_quiet)
    with pytest.raises(Rejected, match="did not end"):
        await Side(tmp_path / "b").raw.start()
    assert (await copied(source, Side(tmp_path / "b"))).commands == 1


# --- what is refused -----------------------------------------------------------------------------


async def test_a_target_with_records_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        async with World(tmp_path / name) as world:
            await world.task(name)
    with pytest.raises(Rejected, match=r"records of its own: move .*log\.sqlite") as refused:
        await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    assert refused.value.code == "log_not_empty"
    async with World(tmp_path / "b") as world:
        assert await world.types() == ["TaskCreated"]


async def test_a_whole_copy_is_not_made_again(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
    await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    with pytest.raises(Rejected, match="whole copy of this one already"):
        await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    async with World(tmp_path / "b") as world:
        assert await world.types() == ["TaskCreated"]


async def test_the_unfinished_copy_of_another_log_is_refused(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        async with World(tmp_path / name, Clock(number)) as world:
            await world.task(name)
    cut = Side(tmp_path / "c")
    cut.raw.fails_at = 1
    with pytest.raises(Unavailable):
        await copied(Side(tmp_path / "a"), cut)
    with pytest.raises(Rejected, match="unfinished copy of another one") as refused:
        await copied(Side(tmp_path / "b"), Side(tmp_path / "c"))
    assert refused.value.code == "other_copy"


async def test_a_history_that_cannot_be_folded_is_not_copied(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        for name in "abc":
            await world.task(name)
        first, second, third = await world.events()
    stories: dict[str, list[EventEnvelope]] = {
        "event 3 follows 1": [first, third],
        "another predecessor": [first, msgspec.structs.replace(second, prev="f" * 32)],
    }
    for number, (told, story) in enumerate(stories.items()):
        source = Side(tmp_path / f"s{number}")
        async with running(source.raw):
            home = partition_of("default", PARTITIONS)
            await source.raw.append(EVENTS, home, [event.to_record() for event in story])
        with pytest.raises(Corrupt, match=told):
            await copied(source, Side(tmp_path / f"t{number}"))


async def test_repeats_and_what_is_unreadable_are_left_behind(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
        await world.task("b")
        home = partition_of("default", PARTITIONS)
        repeats = [event.to_record() for event in await world.events()]
        await world.log.append(EVENTS, home, [*repeats, Record(b"?", b"nonsense")])
        await world.settled()
    source, target = Side(tmp_path / "a"), Side(tmp_path / "b")
    async with running(source.raw):
        await source.raw.append(COMMANDS, home, [Record(b"?", b"nonsense")])
    found = await copied(source, target)
    assert (found.events, found.repeated, found.unreadable) == (2, 2, 2)
    assert [len(its) for its in (await opened_histories(target)).values()] == [2]


async def test_a_graph_of_another_log_is_refused_until_it_is_rebuilt(tmp_path: Path) -> None:
    async with World(tmp_path / "a") as world:
        await world.task("a")
    async with World(tmp_path / "b") as world:
        await world.task("old")
    for file in (tmp_path / "b").glob("log.sqlite*"):
        file.unlink()
    await copied(Side(tmp_path / "a"), Side(tmp_path / "b"))
    backends = open_backends(Config(data=tmp_path / "b"))
    await backends.graph.start()
    home = partition_of("default", PARTITIONS)
    assert await backends.graph.position(home) is not None
    await backends.graph.stop()
    async with World(tmp_path / "b") as world:
        with pytest.raises(Unavailable, match="another log"):
            await world.task("b")
        assert not (await world.platform.status())["ready"]
        steps = [step async for step in world.platform.operate(Rebuild())]
        assert steps[-1]["events"] == 1
        await world.task("c")
        await world.is_fold_of_log()
