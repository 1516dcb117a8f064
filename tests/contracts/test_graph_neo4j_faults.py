"""What the graph on Neo4j promises while the server is silent: what is sent to it disappears, and
connections stay open."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from agent_orchestration.backends.graph import GraphWrite
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.backends.graph.neo4j import graph as module
from agent_orchestration.config import Database
from agent_orchestration.core.errors import Unavailable
from tests.contracts.test_graph import ENTITIES, node, person, put
from tests.running import running
from tests.services import toxiproxy
from tests.services.kafka import free_port
from tests.services.toxiproxy import BOTH, Proxy

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def proxy(neo4j_database: Database, tmp_path: Path) -> Generator[Proxy]:
    bolt = int(neo4j_database.uri.rpartition(":")[2])
    with toxiproxy.own_server(tmp_path / "toxiproxy") as server:
        yield server.proxy("graph", free_port(), bolt)


@pytest.fixture
def database(neo4j_database: Database, proxy: Proxy) -> Database:
    uri = f"bolt://127.0.0.1:{proxy.port}"
    return neo4j_database.model_copy(update={"uri": uri, "connection_timeout": 500})


def silence(proxy: Proxy) -> None:
    proxy.add("timeout", *BOTH, timeout=0)


async def test_a_silent_server_is_unavailable(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Neo4jGraph(database, ENTITIES)) as graph:
        held = await put(graph, nodes={"Person": [person("ada")]})
        write = GraphWrite(0, held, (1, held[1] + 1), nodes={"Person": [person("bob")]})
        silence(proxy)
        monkeypatch.setattr(module, "POSITION_SECONDS", 0.5)
        monkeypatch.setattr(module, "WRITE_SECONDS", 0.5)
        async with asyncio.timeout(30):
            # Over a connection that there was, and over new ones.
            for _ in range(3):
                with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s"):
                    await graph.query("RETURN 1 AS x", {}, seconds=0.5)
                with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s"):
                    await graph.position(0)
            with pytest.raises(Unavailable, match="whether it wrote is unknown"):
                await graph.write(write)
            with pytest.raises(Unavailable, match=r"does not answer|cannot be reached"):
                await Neo4jGraph(database, ENTITIES).start()
        monkeypatch.undo()
        proxy.heal()
        assert await node(graph, "ada") is not None


async def test_stopping_while_the_server_is_silent_takes_no_time(
    database: Database, proxy: Proxy
) -> None:
    graph = Neo4jGraph(database, ENTITIES)
    await graph.start()
    silence(proxy)
    async with asyncio.timeout(5):
        await graph.stop()
