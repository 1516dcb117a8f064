"""Any read-only Cypher on the graph as it was."""

import asyncio
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.graph.read_only import run_read_only
from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.errors import Forbidden, NotFound, Rejected, Unavailable
from agent_orchestration.pipeline import as_of
from agent_orchestration.pipeline.moments import Offsets
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.scratch import Scratch
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.integration.test_rebuild import busy_history
from tests.integration.world import Clock, World

ENTITIES = tuple(REGISTRY.entities.values())
HOME = partition_of("default", PARTITIONS)
POSITIONS = 200
QUESTIONS = (
    (
        "MATCH (t:Task) RETURN t.tenant AS tenant, t.status AS status, count(t) AS n"
        " ORDER BY tenant, status"
    ),
    (
        "MATCH (t:Task)-[r:ASSIGNED_TO]->(a:Agent)"
        " RETURN t.id AS task, a.id AS agent, r.attempt AS n ORDER BY task"
    ),
    (
        "MATCH (e:Event) WITH max(e.seq) AS last, e.tenant AS tenant RETURN tenant, last"
        " ORDER BY tenant"
    ),
    "MATCH (t:Tenant) RETURN t.id AS id, t.seq AS seq, t.next_due AS due ORDER BY id",
    "MATCH (a)-[r]->(b) RETURN type(r) AS type, count(r) AS n ORDER BY type",
)


class Rebuilt:
    """A graph that is folded to one position after the other, none earlier than the one before."""

    def __init__(self, world: World, graph: KgliteGraph) -> None:
        self._graph = graph
        services = world.platform._services  # pyright: ignore[reportPrivateUsage]
        self._scratch = Scratch(services, graph)

    async def answer(self, offsets: Offsets, question: str) -> list[dict[str, Any]]:
        for number, end in enumerate(offsets):
            async for _ in self._scratch.fold(number, end):
                pass
        return await run_read_only(self._graph, question, {})


async def offsets_after(world: World, seq: int) -> Offsets:
    """By hand: what the log had when it got the default tenant's event."""
    found = [await world.records(EVENTS, number) for number in range(PARTITIONS)]
    [event] = [
        one
        for one in found[HOME]
        if one.headers["ce_seq"] == str(seq) and one.headers["ce_tenant"] == "default"
    ]
    return tuple(
        event.offset + 1
        if number == HOME
        else sum(one.timestamp <= event.timestamp for one in records)
        for number, records in enumerate(found)
    )


async def busy(world: World, clock: Clock, rounds: int = 12) -> None:
    """Several tenants' work, in between each other, with time that passes."""

    async def time_passes() -> None:
        while True:
            clock.pass_seconds(0.001)
            await asyncio.sleep(0)

    passing = asyncio.create_task(time_passes())
    tenants = ("default", "acme", "umbrella", "t1", "t2")
    await asyncio.gather(*(busy_history(world, tenant, rounds) for tenant in tenants))
    passing.cancel()
    await world.settled_everywhere()


async def asked(world: World, question: str, at: int | datetime | str) -> Any:
    moment = at.isoformat() if isinstance(at, datetime) else at
    return await world.call("read_cypher", query=question, at=moment)


@pytest.mark.parametrize("keep_every", [50, 10_000])
async def test_random_positions_answer_as_a_graph_rebuilt_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_every: int
) -> None:
    monkeypatch.setattr(as_of, "KEEP_EVERY", keep_every)
    clock = Clock()
    chance = random.Random(keep_every)
    async with World(tmp_path / "a", clock) as world:
        await busy(world, clock)
        last = len(await world.events())
        graph = KgliteGraph(tmp_path / "b" / "graph.kgl", ENTITIES)
        await graph.start()
        rebuilt = Rebuilt(world, graph)
        wanted = {
            seq: (question, await rebuilt.answer(await offsets_after(world, seq), question))
            for seq in sorted(chance.choices(range(1, last + 1), k=POSITIONS))
            for question in [chance.choice(QUESTIONS)]
        }
        await graph.stop()
        different = set[int]()
        for seq, (question, answer) in chance.sample(sorted(wanted.items()), k=len(wanted)):
            found = await asked(world, question, seq)
            assert found["rows"] == answer, (seq, question)
            assert found["seq"] == seq
            different.add(len(str(answer)))
        assert len(different) > 10
        kept = [one for one in (tmp_path / "a" / "scratch").glob("*/*") if "-" in one.name]
        assert len(kept) <= as_of.MOST_KEPT
        assert bool(kept) == (keep_every == 50)
    assert not list((tmp_path / "a" / "scratch").iterdir())


async def test_a_time_is_as_good_as_an_event(tmp_path: Path) -> None:
    clock = Clock()
    question = "MATCH (t:Task) RETURN t.id AS id, t.status AS status ORDER BY id"
    async with World(tmp_path, clock) as world:
        start = to_datetime(clock.now)
        await world.task("a")
        clock.pass_seconds(10)
        await world.task("b", "acme")
        clock.pass_seconds(10)
        await world.call("cancel_task", task_id="a")
        await world.settled_everywhere()
        past = [
            (await asked(world, question, start + timedelta(seconds=s)))["rows"]
            for s in (-1, 0, 9.999, 10, 19.999, 20, 1000)
        ]
        a, b = {"id": "a", "status": "ready"}, {"id": "acme/b", "status": "ready"}
        cancelled = {"id": "a", "status": "cancelled"}
        assert past == [[], [a], [a], [a, b], [a, b], [cancelled, b], [cancelled, b]]
        assert (await asked(world, question, 1))["rows"] == [a]
        assert (await asked(world, question, 2))["rows"] == [cancelled, b]
        assert (await world.call("read_cypher", query=question))["rows"] == [cancelled, b]


async def test_what_cannot_be_asked_says_why(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        with pytest.raises(NotFound, match=r"at: tenant default has no event 2 in the log"):
            await asked(world, QUESTIONS[0], 2)
        with pytest.raises(Rejected, match="at"):
            await asked(world, QUESTIONS[0], 0)
        with pytest.raises(Rejected, match="at"):
            await asked(world, QUESTIONS[0], "yesterday")
        with pytest.raises(Rejected, match=r"not allowed|only"):
            await asked(world, "MATCH (n) DELETE n", 1)
        with pytest.raises(Forbidden):
            await world.call("read_cypher", "acme", query=QUESTIONS[0], at=1)


async def test_who_cannot_wait_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        monkeypatch.setattr(as_of, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(Unavailable, match="being made"):
            await asked(world, QUESTIONS[0], 20)
        monkeypatch.setattr(as_of, "PATIENCE_SECONDS", 20.0)
        assert (await asked(world, QUESTIONS[0], 20))["seq"] == 20


async def test_many_ask_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_orchestration.backends.graph.read_only.AT_ONCE", 100)
    async with World(tmp_path) as world:
        await busy_history(world, "default")
        found = await asyncio.gather(
            *(asked(world, "MATCH (t:Tenant) RETURN t.seq AS seq", 5 + n % 7) for n in range(2))
        )
        assert [one["rows"] for one in found] == [[{"seq": 5}], [{"seq": 6}]]
