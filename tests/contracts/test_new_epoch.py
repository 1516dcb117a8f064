"""The log on Kafka lost records: the platform goes on with the graph as it is, and decides nothing
twice."""

import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.admin import DeleteRecordsRequest

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.backends.graph import GraphWrite
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.core.dispatch import LOCAL_OPERATOR, Caller
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable
from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.domain.tasks.commands import ClaimTask, CreateTask
from agent_orchestration.pipeline.epoch_plan import EpochPlan, TenantLoss, plan_epoch
from agent_orchestration.pipeline.histories import batches
from agent_orchestration.pipeline.new_epoch import begin_epoch
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, topics
from tests.contracts.kafka_backends import KafkaBackends
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.integration.world import until_async
from tests.services import kafka

TOPICS = topics(REGISTRY, 1)


async def quiet() -> None:
    """Nobody else is there."""


Parts = KafkaBackends[ClaimCheckLog]


def parts_of(cluster: KafkaTopics, folder: Path) -> Parts:
    return Parts(KafkaLog(cluster.settings, TOPICS), folder, ClaimCheckLog)


class Place:
    """An installation on one partition."""

    def __init__(self, cluster: KafkaTopics, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.platform: Platform

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[Parts]:
        """The platform, when its partition works or has stopped."""
        parts = parts_of(self.cluster, self.folder)
        self.platform = Platform(parts)

        async def settled() -> bool:
            check = (await self.platform.status())["checks"].get("partition-0", {})
            return check.get("ok") or "log" in check.get("detail", "")

        try:
            await self.platform.start()
            await until_async(settled, "the partition at work, or stopped")
            yield parts
        finally:
            await self.platform.stop()

    async def call(self, tool: str, tenant: str = "default", /, **arguments: Any) -> Any:
        return await self.platform.call(tool, arguments, Caller(tenant=tenant))

    async def task(self, name: str, tenant: str = "default") -> Any:
        return await self.call("create_task", tenant, id=name, title=name)

    async def detail(self) -> str:
        return (await self.platform.status())["checks"]["partition-0"]["detail"]

    @asynccontextmanager
    async def renewing(self) -> AsyncGenerator[tuple[Parts, EpochPlan]]:
        parts = parts_of(self.cluster, self.folder)
        await parts.graph.start()
        try:
            begun = await parts.raw.start_renewal()
            yield parts, await plan_epoch(parts.raw, parts.log, parts.graph, begun=begun)
        finally:
            await parts.stop()

    async def renew(self) -> EpochPlan:
        """Begin a new epoch; answers what it was planned from."""
        async with self.renewing() as (parts, plan):
            assert plan.needed
            await begin_epoch(plan, parts.raw, parts.graph, REGISTRY, quiet)
        async with self.renewing() as (_, after):
            assert not after.needed
        return plan

    async def lose_before(self, topic: str, offset: int) -> None:
        entry: Any = (self.cluster.settings.prefix + topic, [(0, offset)])
        connection = self.cluster.connection
        answer = await connection.ask(connection.anyone(), DeleteRecordsRequest([entry], 10_000))
        [(_, [(_, _, code, *_)], *_)] = answer.topics
        assert code == 0

    async def lose(self, *names: str) -> None:
        """The topics are deleted, and made again."""
        await self.cluster.delete(*(self.cluster.settings.prefix + name for name in names))
        await self.cluster.make(TOPICS)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with own_topics(kafka.bootstrap_servers(), num_partitions=1) as cluster:
        await cluster.make(TOPICS)
        yield Place(cluster, tmp_path)


async def kept(parts: Parts, topic: str = EVENTS) -> list[StoredRecord]:
    return [record async for records in batches(parts.raw, topic, 0) for record in records]


async def told(parts: Parts, tenant: str = "default") -> list[tuple[int, str]]:
    events = [EventEnvelope.from_record(record) for record in await kept(parts)]
    return [(event.seq, event.type) for event in events if event.tenant == tenant]


def envelope(name: str, command: Command) -> Record:
    return CommandEnvelope(
        id=name,
        tenant="default",
        type=type(command).__name__,
        body=canonical(command),
        principal=LOCAL_OPERATOR,
    ).to_record()


async def test_what_the_graph_has_may_be_missing_in_the_log(place: Place) -> None:
    async with place.at_work():
        for name in "abc":
            await place.task(name)
    await place.lose_before(EVENTS, 2)
    async with place.renewing() as (_, plan):
        assert not plan.needed
        assert plan.tenants == [TenantLoss("default", 0, 3, 3, 3, [(1, 2)])]
    async with place.at_work() as parts:
        await place.task("d")
        assert await told(parts) == [(3, "TaskCreated"), (4, "TaskCreated")]
        # The graph cannot be made from the log any more, so it is not given up.
        with pytest.raises(Rejected, match="events/0 begins with record 2"):
            async for _ in place.platform.operate(Rebuild()):
                pass
        await until_async(lambda: _is_ready(place), "ready")
        assert len((await place.call("list_tasks"))["tasks"]) == 4


async def _is_ready(place: Place) -> bool:
    return bool((await place.platform.status())["ready"])


@pytest.mark.parametrize("lost", [(EVENTS,), (EVENTS, COMMANDS)])
async def test_topics_made_anew_go_on_where_the_graph_is(
    place: Place, lost: tuple[str, ...]
) -> None:
    async with place.at_work() as parts:
        await place.call("register_agent", id="ann", name="ann", kind="function", capabilities=[])
        # Decided again it would find work; committed is a position before it.
        await parts.raw.append(COMMANDS, 0, [envelope("early", ClaimTask(agent_id="ann"))])
        for name in "abc":
            await place.task(name)
    async with place.renewing() as (parts, _):
        await parts.raw.commit(GROUP, COMMANDS, 0, 0)
        before = parts.raw.epoch
        left = [envelope("late", CreateTask(task_id="late", title="late"))]
        await parts.raw.append(COMMANDS, 0, left)
    await place.lose(*lost)
    async with place.at_work():
        assert "another log" in await place.detail()
    plan = await place.renew()
    assert plan.tenants == [TenantLoss("default", 0, 4, 0, 0, [(1, 4)])]
    async with place.at_work() as parts:
        assert parts.raw.epoch > before
        await place.task("d")
        # What nobody had decided is decided, where it is still there.
        late = [(5, "TaskCreated")] if lost == (EVENTS,) else []
        assert await told(parts) == [*late, (5 + len(late), "TaskCreated")]
        shown = await place.call("get_task", task_id="a")
        assert shown["task"]["status"] == "ready"


async def test_a_log_that_ends_before_the_graph_goes_on_behind_it(place: Place) -> None:
    async with place.at_work() as parts:
        for name in "abcde":
            await place.task(name)
        records = await kept(parts)
    await place.lose(EVENTS)
    async with place.renewing() as (parts, _):
        await parts.raw.append(
            EVENTS, 0, [Record(r.key, r.value, dict(r.headers)) for r in records[:2]]
        )
    plan = await place.renew()
    assert plan.tenants == [TenantLoss("default", 0, 5, 1, 2, [(3, 5)])]
    assert (plan.partitions[0].events_from, plan.partitions[0].events_lost) == (2, 0)
    async with place.at_work() as parts:
        await place.task("f")
        assert await told(parts) == [(n, "TaskCreated") for n in (1, 2, 6)]


async def test_a_tenant_whose_next_event_is_lost_is_set_aside(place: Place) -> None:
    graph, older = place.folder / "graph", place.folder / "older"
    async with place.at_work():
        await place.task("a")
        await place.task("a", "whole")
    shutil.copytree(graph, older)
    async with place.at_work():
        await place.task("b")  # at 2: lost before it was folded
        await place.task("b", "whole")
        await place.task("c")
        await place.task("a", "new")
    shutil.rmtree(graph)
    older.rename(graph)
    await place.lose_before(EVENTS, 3)
    async with place.at_work():
        assert "position 2 is outside the records kept, 3 to 6" in await place.detail()
    plan = await place.renew()
    [loss, whole] = plan.tenants
    assert (loss.tenant, loss.missing, loss.not_folded_from) == ("default", [(1, 2)], 4)
    assert loss.set_aside == "events 2 to 2 are lost"
    assert (whole.tenant, whole.missing, whole.set_aside) == ("whole", [(1, 1)], "")
    assert (plan.partitions[0].events_from, plan.partitions[0].events_lost) == (3, 1)
    async with place.at_work() as parts:
        with pytest.raises(Unavailable, match="events 2 to 2 are lost: bring them back"):
            await place.task("d")
        await place.task("c", "whole")
        await place.task("b", "new")
        assert [seq for seq, _ in await told(parts, "whole")] == [2, 3]
        assert len((await place.call("list_tasks", "whole"))["tasks"]) == 3


async def test_commands_that_expired_before_they_were_decided_are_told(place: Place) -> None:
    async with place.at_work():
        await place.task("a")
    async with place.renewing() as (parts, _):
        left = [envelope(n, CreateTask(task_id=n, title=n)) for n in ("b", "c", "d")]
        await parts.raw.append(COMMANDS, 0, left)
    await place.lose_before(COMMANDS, 3)
    async with place.at_work():

        async def stopped() -> bool:
            return "commands/0: position 1 is outside" in await place.detail()

        await until_async(stopped, "the partition to stop")
    plan = await place.renew()
    assert (plan.partitions[0].commands_from, plan.partitions[0].commands_lost) == (3, 2)
    async with place.at_work() as parts:
        await place.task("e")
        assert [seq for seq, _ in await told(parts)] == [1, 2, 3]
        found = await place.call("list_tasks")
        assert {one["id"] for one in found["tasks"]} == {"a", "d", "e"}


async def test_what_is_missing_is_kept_with_the_epoch(place: Place) -> None:
    async with place.at_work():
        await place.task("a")
    await place.lose(EVENTS)
    await place.renew()
    async with place.renewing() as (parts, _):
        epochs: Any = parts.raw
        found = await epochs._epochs._reader.read(epochs._place("log_epoch", 0), 0, 100)
        [missing] = [record.value for record in found if record.key == b"missing"]
        assert b'"missing":[[1,1]]' in missing
        assert b'"epoch":%d' % parts.raw.epoch in missing


@pytest.mark.parametrize("writes", [0, 1])
async def test_one_that_was_interrupted_is_repeated(place: Place, writes: int) -> None:
    async with place.at_work():
        await place.task("a")
    await place.lose(EVENTS)

    async with place.renewing() as (parts, plan):
        write = parts.graph.write

        async def failing(batch: GraphWrite) -> None:
            if writes:
                await write(batch)
            raise Unavailable("test", "no")

        setattr(parts.graph, "write", failing)  # noqa: B010 (a method)
        with pytest.raises(Unavailable):
            await begin_epoch(plan, parts.raw, parts.graph, REGISTRY, quiet)
    with pytest.raises(Rejected, match=r"topics create --new-epoch` did not end.*repeat it"):
        await parts_of(place.cluster, place.folder).log.start()
    await place.cluster.make(TOPICS)
    with pytest.raises(Rejected, match="did not end"):
        await parts_of(place.cluster, place.folder).log.start()
    await place.renew()
    async with place.at_work() as parts:
        await place.task("b")
        assert await told(parts) == [(2, "TaskCreated")]


# --- copies --------------------------------------------------------------------------------------


async def test_a_log_that_is_being_filled_is_nobody_elses(place: Place) -> None:
    def log() -> KafkaLog:
        return KafkaLog(place.cluster.settings, TOPICS)

    source = 4_000_000_000_000
    filling = log()
    await filling.start_copy(source)
    assert filling.epoch == source + 1
    await filling.append(EVENTS, 0, [Record(b"t", b"1")])
    await filling.stop()
    await place.cluster.make(TOPICS)
    with pytest.raises(Rejected, match=r"copy-log` did not end.*delete the topics"):
        await log().start()
    with pytest.raises(Rejected, match="copy-log` did not end"):
        await log().start_renewal()
    with pytest.raises(Rejected, match="unfinished copy of another one"):
        await log().start_copy(source + 5)
    again = log()
    await again.start_copy(source)
    assert again.epoch == source + 1
    await again.end_copy()
    await again.stop()
    with pytest.raises(Rejected, match="whole copy of this one already"):
        await log().start_copy(source)
    with pytest.raises(Rejected, match="records of its own"):
        await log().start_copy(source + 5)
    whole = log()
    await whole.start()
    assert whole.epoch == source + 1
    await whole.stop()
    # Topics made anew are empty, and no copy of anything.
    await place.lose(EVENTS, COMMANDS)
    await whole.start()
    assert whole.epoch > source + 1
    await whole.stop()


async def test_topics_made_anew_with_other_tools_say_both_ways_out(place: Place) -> None:
    await place.cluster.delete(place.cluster.settings.prefix + EVENTS)
    [events] = [topic for topic in TOPICS if topic.name == EVENTS]
    await place.cluster.make_with_other_tools(events)
    with pytest.raises(Corrupt, match=r"rebuild the graph.*with --new-epoch go on"):
        await KafkaLog(place.cluster.settings, TOPICS).start()
