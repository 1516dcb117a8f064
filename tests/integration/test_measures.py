"""What a platform counts of its own work is what happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration import measures
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Busy, NotFound, Rejected
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.measures import Count, Distribution
from agent_orchestration.pipeline import lag
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP, PARTITIONS
from tests.integration.world import World, until

HOME = partition_of("default", PARTITIONS)


class Since:
    """How much was counted since it was made."""

    def __init__(self) -> None:
        self._before = {one.name: _counted(one) for one in measures.MEASURES}

    def __getitem__(self, measure: Count | Distribution) -> dict[tuple[str, ...], float]:
        """By its labels, where it is anything."""
        before = self._before[measure.name]
        now = _counted(measure)
        return {key: more for key, n in now.items() if (more := n - before.get(key, 0))}


def _counted(measure: Any) -> Mapping[tuple[str, ...], float]:
    if isinstance(measure, Distribution):
        return {labels: sum(series.counts) for labels, series in measure.values.items()}
    return dict(measure.values)


async def test_calls_commands_and_events_are_counted_by_what_became_of_them(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.ready()
        since = Since()
        await world.agent("ann")
        await world.task("t", idempotency_key="k")
        await world.task("t", idempotency_key="k")
        with pytest.raises(Rejected):
            await world.task("t")
        with pytest.raises(NotFound):
            await world.call("get_task", task_id="nobody")
        for _ in range(2):
            await world.call("claim_task", agent_id="ann")
        await world.settled()
        assert since[measures.TOOL_CALLS] == {
            ("register_agent", "answered"): 1,
            ("create_task", "answered"): 2,
            ("create_task", "rejected"): 1,
            ("get_task", "not_found"): 1,
            ("claim_task", "answered"): 2,
        }
        assert since[measures.TOOL_SECONDS] == {
            ("register_agent",): 1,
            ("create_task",): 3,
            ("get_task",): 1,
            ("claim_task",): 2,
        }
        assert since[measures.AGENT_INTERACTIONS] == {("ann",): 2}
        assert since[measures.COMMANDS] == {
            ("RegisterAgent", "accepted"): 1,
            ("CreateTask", "accepted"): 1,
            ("CreateTask", "repeated"): 1,
            ("CreateTask", "failed"): 1,
            ("ClaimTask", "accepted"): 1,
            ("ClaimTask", "nothing"): 1,
        }
        assert since[measures.REJECTIONS] == {("already_exists",): 1}
        types = ("AgentRegistered", "TaskClaimed", "TaskCreated")
        assert since[measures.EVENTS] == dict.fromkeys([(name,) for name in types], 1)
        assert since[measures.EVENT_LATENCY] == {(): 3}
        assert since[measures.QUERY_SECONDS].keys() >= {("task",), ("agent",)}
        assert since[measures.DECIDE_BATCH] == since[measures.DECIDE_SECONDS]


async def test_commands_that_are_refused_for_a_while_are_counted_by_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        since = Since()
        monkeypatch.setattr("agent_orchestration.pipeline.command_bus.WAITING_LIMIT", 0)
        for _ in range(2):
            with pytest.raises(Busy):
                await world.task("t")
        with pytest.raises(NotFound):
            await world.call("complete_task", task_id="t", agent_id="ann", attempt=1)
        assert since[measures.COMMANDS_SHED] == {("busy",): 2}


async def test_the_lag_of_a_partition_is_what_it_has_still_to_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.001)

    def behind(topic: str) -> float:
        shown = measures.CONSUMER_LAG.values
        return sum(n for (group, name, _), n in shown.items() if (group, name) == (GROUP, topic))

    async with World(tmp_path) as world:
        await world.task("t")
        await until(lambda: behind(EVENTS) == 0, "the graph to have everything")
        world.graph.gate.close()
        for number in range(3):
            await world.inject(CreateTask(title="More"), f"command-{number}")
        await until(lambda: behind(EVENTS) == 3, "three events to wait")
        assert behind(COMMANDS) == 0
        world.graph.gate.open()
        await until(lambda: behind(EVENTS) == 0, "the graph to have everything")
    assert not measures.CONSUMER_LAG.values


async def test_a_graph_that_is_made_from_the_same_events_counts_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("t")
        since = Since()
        await world.log.append(EVENTS, HOME, [Record(b"default", b"unreadable")])
        await until(lambda: since[measures.DEAD_LETTERS] == {(EVENTS,): 1}, "a dead letter")
        await world.settled()
        since = Since()
        found = await world.call("read_cypher", query="MATCH (t:Task) RETURN t.id AS id", at=1)
        assert found["rows"] == [{"id": "t"}]
        await world.rebuilt_equal()
        await world.settled()
        folding = (measures.EVENTS, measures.EVENT_LATENCY, measures.FOLD_SECONDS)
        for measure in (*folding, measures.FOLD_BATCH, measures.DEAD_LETTERS, measures.QUARANTINES):
            assert not since[measure], measure.name
        await world.task("u")
        await world.settled()
        assert [since[measure] for measure in folding] == [{("TaskCreated",): 1}, {(): 1}, {(): 1}]
