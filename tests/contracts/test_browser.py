"""What people paste into Neo4j Browser runs on a real Neo4j, and only reads."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.config import Database

ROOT = Path(__file__).parents[2]
SAVED = sorted((ROOT / "schema" / "browser").glob("*.cypher"))
GUIDE = (ROOT / "docs" / "neo4j-browser.md").read_text("utf-8")
PARAMETER = re.compile(r"^:param (\w+) => (.+);$", re.MULTILINE)


@pytest.fixture
async def graph(neo4j_database: Database) -> AsyncIterator[Neo4jGraph]:
    graph = Neo4jGraph(neo4j_database, REGISTRY.entities.values())
    await graph.start()
    yield graph
    await graph.stop()


async def check(graph: Neo4jGraph, text: str) -> None:
    parameters: dict[str, Any] = {}
    for name, value in PARAMETER.findall(text):
        [row] = await graph.query(f"RETURN {value} AS value", {})
        parameters[name] = row["value"]
    statement = PARAMETER.sub("", text).strip().removesuffix(";")
    assert await graph.explain_is_read(statement, parameters)
    await graph.query(statement, parameters)


async def test_every_saved_query_runs_as_it_is(graph: Neo4jGraph) -> None:
    assert [path.stem for path in SAVED] == sorted(REGISTRY.queries)
    for path in SAVED:
        await check(graph, path.read_text("utf-8"))


async def test_every_query_of_the_guide_runs_as_it_is(graph: Neo4jGraph) -> None:
    blocks = re.findall(r"^```cypher\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 9
    for block in blocks:
        await check(graph, block)
