"""load(graph(fold(events))) == fold(events), however the events are read."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.core.folding import event_row
from agent_orchestration.core.messages import canonical
from agent_orchestration.core.state import COMMAND_MEMORY_MS, TenantState
from agent_orchestration.pipeline.loading import load_tenant
from tests.properties.commands import Move
from tests.properties.contents import index_contents
from tests.properties.graph_model import Batch, GraphModel, Reader, everything
from tests.properties.histories import HOSTILE, History, clock, copy_of, entities, moves
from tests.services import neo4j
from tests.unit.domain import replay, snapshot

BATCHES = st.lists(
    st.builds(
        Batch,
        size=st.integers(1, 12),
        overlap=st.integers(0, 3),
        twice=st.integers(0, 2),
        restart=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
ALL_AT_ONCE = [Batch(size=1000)]


def recent(state: TenantState) -> dict[str, Any]:
    """The receipts that a load brings back."""
    since = max(state.at - COMMAND_MEMORY_MS, 0)
    return {key: canonical(one) for key, one in state.receipts.items() if one.at > since}


async def assert_loads_back(graph: Graph, folded: TenantState) -> None:
    loaded = await load_tenant(graph, REGISTRY, folded.tenant)
    live = copy_of(folded, entities(folded, live=True))
    assert clock(loaded) == clock(folded)
    assert snapshot(loaded) == snapshot(live)
    assert index_contents(loaded) == index_contents(live)
    assert recent(loaded) == recent(folded) == {k: canonical(r) for k, r in loaded.receipts.items()}
    assert snapshot(await everything(graph, folded)) == snapshot(folded)


@settings(max_examples=80)
@given(moves(), BATCHES, st.sampled_from(["acme", "default"]))
def test_what_is_loaded_is_what_was_folded(
    made: list[Move], plan: list[Batch], tenant: str
) -> None:
    history = History(tenant).play(made)
    folded = replay(history.envelopes, tenant)
    assert snapshot(folded) == snapshot(history.state)

    async def run() -> None:
        graph = GraphModel()
        await Reader(graph, tenant).read(history.envelopes, plan)
        await assert_loads_back(graph, folded)
        at_once = GraphModel()
        await Reader(at_once, tenant).read(history.envelopes, ALL_AT_ONCE)
        assert graph.nodes == at_once.nodes
        assert non_empty(graph) == non_empty(at_once)

    asyncio.run(run())


def non_empty(graph: GraphModel) -> dict[Any, Any]:
    return {key: links for key, links in graph.links.items() if links}


@settings(max_examples=20)
@given(moves(HOSTILE, 30), moves(most=20), BATCHES)
def test_the_embedded_graph_gives_back_what_was_folded(
    made: list[Move], others: list[Move], plan: list[Batch]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        graph = KgliteGraph(Path(folder) / "graph.kgl", REGISTRY.entities.values())
        asyncio.run(assert_gives_back(graph, made, others, plan))


@settings(max_examples=10)
@given(moves(HOSTILE, 30), moves(most=20), BATCHES)
def test_neo4j_gives_back_what_was_folded(
    made: list[Move], others: list[Move], plan: list[Batch]
) -> None:
    with neo4j.emptied() as database:
        graph = Neo4jGraph(database, REGISTRY.entities.values())
        asyncio.run(assert_gives_back(graph, made, others, plan))


async def assert_gives_back(
    graph: Graph, made: list[Move], others: list[Move], plan: list[Batch]
) -> None:
    histories = [History("default").play(made), History("acme").play(others)]
    await graph.start()
    try:
        for history in histories:
            await Reader(graph, history.state.tenant).read(history.envelopes, plan)
        for history in histories:
            await assert_loads_back(graph, replay(history.envelopes, history.state.tenant))
            await assert_events_are_kept(graph, history)
    finally:
        await graph.stop()


async def assert_events_are_kept(graph: Graph, history: History) -> None:
    rows = await graph.query(
        "MATCH (e:Event {tenant: $tenant}) RETURN properties(e) AS row ORDER BY e.seq",
        {"tenant": history.state.tenant},
    )
    found = [{k: v for k, v in row["row"].items() if v is not None} for row in rows]
    assert found == [event_row(folded) for folded in history.folded]


@settings(max_examples=20)
@given(moves(most=30), BATCHES)
def test_a_graph_that_is_closed_and_opened_again_is_the_same(
    made: list[Move], plan: list[Batch]
) -> None:
    history = History().play(made)

    async def run(path: Path) -> None:
        middle = len(history.envelopes) // 2
        for part in (history.envelopes[:middle], history.envelopes):
            graph = KgliteGraph(path, REGISTRY.entities.values())
            await graph.start()
            try:
                await Reader(graph, "acme").read(part, plan)
                await assert_loads_back(graph, replay(part, "acme"))
            finally:
                await graph.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "graph.kgl"))
