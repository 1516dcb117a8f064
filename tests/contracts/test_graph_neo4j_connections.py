"""How many connections to Neo4j are used is told."""

import pytest
from neo4j.exceptions import CypherSyntaxError

from agent_orchestration.backends.graph.neo4j.connection import Connection
from agent_orchestration.config import Database
from agent_orchestration.measures import GRAPH_CONNECTIONS

pytestmark = [pytest.mark.process, pytest.mark.slow]


def shown() -> dict[str, float]:
    """By state."""
    return {state: many for (state,), many in GRAPH_CONNECTIONS.read().items()}


async def test_what_is_used_and_what_may_be_is_told_while_the_graph_is_open(
    neo4j_database: Database,
) -> None:
    connection = Connection(neo4j_database.model_copy(update={"pool_size": 3}))
    await connection.open()
    try:
        assert shown() == {"used": 0, "free": 3}
        async with connection.session(), connection.session() as session:
            assert shown() == {"used": 2, "free": 1}
            await (await session.run("RETURN 1 AS one")).consume()
        with pytest.raises(CypherSyntaxError):
            await connection.run("nonsense")
        assert shown() == {"used": 0, "free": 3}
    finally:
        await connection.close()
    assert shown() == {"used": 0, "free": 0}
