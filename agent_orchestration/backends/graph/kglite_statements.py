"""A batch as one statement for kglite, or as a few for a very large one.

There a statement is atomic by itself, and a transaction is expensive.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from agent_orchestration.backends.graph import GraphWrite, statements
from agent_orchestration.backends.graph.statements import Part, parameter, plain
from agent_orchestration.core.entities import Row

_PARTS: dict[str, Callable[..., str]] = {
    "nodes": statements.upsert_nodes,
    "new_nodes": statements.create_nodes,
    "removed": statements.remove_nodes,
    "unlinks": statements.remove_links,
    "unlinks_at_end": statements.remove_links_at_end,
    "links": statements.upsert_links,
    "new_links": statements.create_links,
}


def one_statement(write: GraphWrite, properties: Mapping[str, tuple[str, ...]]) -> tuple[str, Row]:
    """A whole batch with its new position as one statement, and its parameters. New nodes of the
    labels in `properties` are written with `create_nodes_with`."""
    parts: list[tuple[Part, tuple[str, ...]]] = []
    last, parameters = _last(write)
    for number, (part, rows) in enumerate(statements.steps(write)):
        kind, name = part
        named = properties.get(str(name), ()) if kind == "new_nodes" else ()
        parts.append((part, named))
        parameters[f"rows_{number}"] = rows
    return _joined(tuple(parts), last), parameters


def pieces(write: GraphWrite, size: int) -> Iterator[tuple[str, Row]]:
    """A whole batch with its new position as statements of at most `size` rows each, with their
    parameters: for one transaction."""
    for (kind, name), rows in statements.steps(write):
        statement = _PARTS[kind](name, "rows")
        for start in range(0, len(rows), size):
            yield statement, {"rows": rows[start : start + size]}
    yield _last(write)


def _last(write: GraphWrite) -> tuple[str, Row]:
    """What stores the batch's new position, and its parameters."""
    set_position, parameters = statements.next_position(write)
    return f"MERGE (c:Checkpoint {{id: $checkpoint}}) {set_position}", parameters


def create_nodes_with(properties: tuple[str, ...], label: str, rows: str = "rows") -> str:
    """The same for rows that have none but these properties."""
    named = ", ".join(f"{plain(name)}: row.{name}" for name in properties)
    return f"UNWIND {parameter(rows)} AS row CREATE (n:{plain(label)} {{{named}}})"


@lru_cache(maxsize=1024)
def _joined(parts: tuple[tuple[Part, tuple[str, ...]], ...], last: str) -> str:
    texts = [
        create_nodes_with(named, str(name), f"rows_{number}")
        if named
        else _PARTS[kind](name, f"rows_{number}")
        for number, ((kind, name), named) in enumerate(parts)
    ]
    # Counting makes exactly one row of any number of them, none included: the next part runs once.
    return "\nWITH count(*) AS done\n".join([*texts, last])
