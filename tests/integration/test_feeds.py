"""Feeds on a log without views: every event arrives, whatever happens to whoever publishes it."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log import HOUR_MS, Topic, Unavailable
from agent_orchestration.backends.log.claim_check import HEADER
from agent_orchestration.core.envelope import EventEnvelope, Record, StoredRecord
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.integration.watched import Gate, WatchedLog
from tests.integration.world import Clock, World, until, until_async

FEEDS = sorted(set(REGISTRY.feeds.values()))
HOME = partition_of("default", PARTITIONS)


class FeedWorld(World):
    """A platform whose log has no views."""

    def _make_log(self, path: Path, topics: Any, clock: Callable[[], int]) -> WatchedLog:
        plain: list[Topic] = [msgspec.structs.replace(topic, view_of=None) for topic in topics]
        return super()._make_log(path, plain, clock)

    async def feeds(self) -> dict[str, list[StoredRecord]]:
        """The records of each feed as they stand in the log."""
        found: dict[str, list[StoredRecord]] = {feed: [] for feed in FEEDS}
        for feed in FEEDS:
            for number in range(PARTITIONS):
                found[feed] += await self.log.read(feed, number, 0, 100_000)
        return found

    async def published(self, tenant: str = "default") -> dict[str, list[StoredRecord]]:
        """The feeds, once they have every event of the tenant."""
        expected = {envelope.id for envelope in await self.events(tenant)}

        async def all_there() -> bool:
            found = await self.feeds()
            return expected <= {one.headers["ce_id"] for its in found.values() for one in its}

        await until_async(all_there, "the events in the feeds")
        return await self.feeds()

    async def stored(self) -> None:
        """Wait until the graph knows that everything was published."""

        async def is_stored() -> bool:
            _, end = await self.log.bounds(EVENTS, HOME)
            return await self.graph.published(HOME) == (self.log.epoch, end)

        await until_async(is_stored, "the position of the feeds")


def ids(records: list[StoredRecord]) -> Counter[str]:
    return Counter(record.headers["ce_id"] for record in records)


async def some_work(world: World, tenant: str = "default") -> None:
    await world.agent("ann", tenant, capabilities=[{"name": "python"}])
    for name in ("a", "b"):
        await world.task(name, tenant)
    claim = await world.call("claim_task", tenant, agent_id="ann")
    held = {"task_id": claim["task"]["id"], "agent_id": "ann", "attempt": claim["attempt"]}
    await world.call("complete_task", tenant, **held)
    await world.call("form_team", tenant, id="crew", goal="Ship it")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses, and the position is stored as soon as nothing comes."""
    monkeypatch.setattr("agent_orchestration.pipeline.feeds.RETRY_SECONDS", (0.0,) * 6)
    monkeypatch.setattr("agent_orchestration.pipeline.projector.IDLE_SECONDS", 0.01)


async def test_every_event_is_in_its_feed_under_its_entity(tmp_path: Path) -> None:
    async with FeedWorld(tmp_path) as world:
        for tenant in ("default", "acme"):
            await some_work(world, tenant)
            await world.published(tenant)
        found = await world.feeds()
        originals = {r.headers["ce_id"]: r for r in await world.records(EVENTS)}
        assert sum(map(len, found.values())) == len(originals)
        for feed, records in found.items():
            for record in records:
                original = originals[record.headers["ce_id"]]
                assert REGISTRY.feeds[original.headers["ce_type"]] == feed
                assert (record.value, record.headers) == (original.value, original.headers)
                assert record.partition == partition_of(record.key.decode(), PARTITIONS)
        task_a = [r.headers["ce_type"] for r in found["task_events"] if r.key == b"acme/a"]
        assert task_a == ["TaskCreated", "TaskClaimed", "TaskCompleted"]
        assert {r.key for r in found["team_events"]} == {b"crew", b"acme/crew"}


async def test_a_feed_that_cannot_be_written_stops_nothing_and_gets_all(
    tmp_path: Path, quick: None
) -> None:
    away = [True]

    def fault(_: int) -> None:
        if away[0]:
            raise Unavailable("log_unavailable", "not now")

    async with FeedWorld(tmp_path) as world:
        world.log.faults["task_events"] = fault
        await some_work(world)
        await until(lambda: world.log.appends["task_events"] > 10, "some tries")
        await world.task("c")
        assert (await world.feeds())["task_events"] == []
        assert (await world.platform.status())["ready"]
        away[0] = False
        found = (await world.published())["task_events"]
        assert [r.headers["ce_type"] for r in found if r.key == b"a"] == [
            "TaskCreated",
            "TaskClaimed",
            "TaskCompleted",
        ]


async def test_what_was_not_published_when_the_process_ended_is_published_by_the_next(
    tmp_path: Path,
) -> None:
    async with FeedWorld(tmp_path) as world:
        gates = [world.log.gates.setdefault(feed, Gate()) for feed in FEEDS]
        for gate in gates:
            gate.close()
        await some_work(world)
        await world.settled()
        assert not any((await world.feeds()).values())
    async with FeedWorld(tmp_path) as world:
        await world.published()


async def test_after_a_quiet_while_nothing_is_published_again(tmp_path: Path, quick: None) -> None:
    async with FeedWorld(tmp_path) as world:
        await some_work(world)
        await world.published()
        await world.stored()
    async with FeedWorld(tmp_path) as world:
        await world.task("c")
        found = await world.published()
        assert set(ids([one for its in found.values() for one in its]).values()) == {1}


async def test_without_a_quiet_while_the_last_are_published_again(tmp_path: Path) -> None:
    async with FeedWorld(tmp_path) as world:
        await some_work(world)
        await world.published()
    async with FeedWorld(tmp_path) as world:
        await world.task("c")
        found = await world.published()
        times = ids([one for its in found.values() for one in its])
        assert set(times) == {envelope.id for envelope in await world.events()}
        assert max(times.values()) <= 2


async def test_an_installation_without_feeds_publishes_its_history(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await some_work(world)
    async with FeedWorld(tmp_path) as world:
        await world.published()


class ForgettingWorld(FeedWorld):
    """Its log forgets events too."""

    def _make_log(self, path: Path, topics: Any, clock: Callable[[], int]) -> WatchedLog:
        replace = msgspec.structs.replace
        made = [replace(t, retention_ms=HOUR_MS) if t.name == EVENTS else t for t in topics]
        return super()._make_log(path, made, clock)


async def test_feeds_begin_at_the_first_event_that_is_kept_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await some_work(world)
        old = {envelope.id for envelope in await world.events()}
    clock.pass_seconds(2 * 3600)
    with caplog.at_level(logging.WARNING):
        async with ForgettingWorld(tmp_path, clock) as world:
            first, _ = await world.log.bounds(EVENTS, HOME)
            await world.task("c")
            found = await world.published()
    assert first == len(old)
    assert not old & set(ids(found["task_events"]))
    assert f"partition {HOME} begin at event record {first}" in caplog.text


async def test_events_that_are_forgotten_while_a_feed_is_away_are_left_out(
    tmp_path: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with ForgettingWorld(tmp_path, clock) as world:
        gate = world.log.gates["task_events"] = Gate()
        gate.close()
        await world.task("a")
        await until(lambda: gate.waiting == 1, "the first to be published")
        await world.task("b")
        await world.settled()
        clock.pass_seconds(2 * 3600)
        await world.log.expire(clock())
        with caplog.at_level(logging.WARNING):
            gate.open()
            await world.task("c")
            found = await world.published()
    assert [r.key for r in found["task_events"]] in ([b"a", b"c"], [b"c", b"a"])
    assert f"partition {HOME} begin at event record 2" in caplog.text


async def test_a_malformed_record_is_in_no_feed(tmp_path: Path) -> None:
    async with FeedWorld(tmp_path) as world:
        await world.task("a")
        await world.log.append(EVENTS, HOME, [Record(b"default", b"garbage")])
        await world.task("b")
        found = await world.published()
        assert {r.key for r in found["task_events"]} == {b"a", b"b"}


async def test_a_large_event_is_in_its_feed_as_in_events(tmp_path: Path) -> None:
    tasks = [{"id": f"t{n}", "description": "x" * 1000} for n in range(200)]
    async with FeedWorld(tmp_path) as world:
        await world.call("submit_plan", id="plan", title="P", tasks=tasks)
        found = (await world.published())["task_events"]
        originals = await world.log.read(EVENTS, HOME, 0, 100)
        [copy] = [r for r in found if r.headers["ce_type"] == "PlanSubmitted"]
        [original] = [r for r in originals if r.headers["ce_type"] == "PlanSubmitted"]
        assert copy.headers[HEADER]
        assert (copy.key, copy.value, copy.headers) == (b"plan", b"", original.headers)
        assert len(EventEnvelope.from_record((await world.records(EVENTS))[0]).body) > 200_000
