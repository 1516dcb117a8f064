"""A digest of everything in the graph: equal graphs have equal digests, on any engine."""

import hashlib
from collections.abc import Iterable

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.contents import contents, labels, pages
from agent_orchestration.core.entities import Entity


async def fingerprint(graph: Graph, entities: Iterable[type[Entity]]) -> str:
    """SHA-256 (64 hex digits) over all nodes but checkpoints, with their relationships.

    Nodes come in order of label and id, each page of them followed by the relationships that leave
    it. Raises what `Graph.query` raises.
    """
    digest = hashlib.sha256()
    for label in labels(entities):
        async for ids in pages(graph, label):
            found = [one.lines for one in (await contents(graph, label, ids)).values() if one.node]
            nodes = [lines[0] for lines in found]
            links = sorted(line for lines in found for line in lines[1:])
            digest.update(b"".join(line + b"\n" for line in nodes + links))
    return digest.hexdigest()
