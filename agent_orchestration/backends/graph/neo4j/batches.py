"""A batch as statements for Neo4j: one for each kind of row, the same text every time, so that its
plan is found in the server's cache."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import cast

from agent_orchestration.backends.graph import GraphWrite, LinkKey, statements
from agent_orchestration.core.entities import Entity, Row, shape_of

#: A statement gets at most so many rows, which bounds what it holds in memory.
PIECE_ROWS = 10_000

Times = tuple[str, ...]


class Batches:
    """Makes the statements of batches for the entities that are declared.

    Their times travel as text: the driver needs some 30 us for each datetime, many times what the
    rest of its row takes. Other datetimes are left to the driver.
    """

    def __init__(self, entities: Iterable[type[Entity]]) -> None:
        self._of_nodes: dict[str, Times] = dict(statements.PLATFORM_TIMES)
        self._of_links: dict[str, Times] = {}
        for entity in entities:
            shape = shape_of(entity)
            self._of_nodes[entity.LABEL] = tuple(f.name for f in shape.fields if f.kind == "time")
            for one in entity.RELATIONSHIPS:
                kinds = shape.link_kinds(one)
                times = {name for name, kind in kinds.items() if kind == "datetime"}
                known = self._of_links.get(one.type, ())
                self._of_links[one.type] = tuple(sorted(times.union(known)))

    def statements(self, write: GraphWrite) -> Iterator[tuple[str, Row]]:
        """The statements with their parameters, in order; the last one stores the position.

        Rows come in the order of their keys: neighbours in an index are touched together, and two
        batches take their locks in one order.
        """
        for (kind, name), rows in statements.steps(write):
            if kind in {"nodes", "new_nodes"}:
                statement, sent = self._nodes(kind, cast("str", name), cast("list[Row]", rows))
            elif kind == "removed":
                statement = statements.remove_nodes(cast("str", name), "rows")
                sent = sorted(cast("list[str]", rows))
            else:
                links = sorted(cast("list[Row]", rows), key=_ends)
                statement, sent = self._links(kind, cast("LinkKey", name), links)
            for start in range(0, len(sent), PIECE_ROWS):
                yield statement, {"rows": sent[start : start + PIECE_ROWS]}
        yield statements.next_position(write)

    def _nodes(self, kind: str, label: str, rows: list[Row]) -> tuple[str, list[Row]]:
        times = self._of_nodes.get(label, ())
        # Of several rows of one node the last wins, so their order is kept.
        sent = _as_text(sorted(rows, key=_id), times)
        make = statements.upsert_nodes if kind == "nodes" else statements.create_nodes
        return make(label, times=times), sent

    def _links(self, kind: str, key: LinkKey, links: list[Row]) -> tuple[str, list[Row]]:
        if kind in {"unlinks", "unlinks_at_end"}:
            return statements.remove_links_between(key), links
        times = self._of_links.get(key[0], ())
        if times:
            props = _as_text([row["props"] for row in links], times)
            links = [{**row, "props": its} for row, its in zip(links, props, strict=True)]
        make = statements.upsert_links if kind == "links" else statements.create_links
        return make(key, times=times), links


def _id(row: Row) -> str:
    # A row without an id is the server's to refuse.
    return row.get("id") or ""


def _ends(row: Row) -> tuple[str, str]:
    return row["from"], row["to"]


def _as_text(rows: list[Row], times: Times) -> list[Row]:
    """The rows with these times as ISO 8601 text."""
    if not times:
        return rows
    made: list[Row] = []
    for row in rows:
        sent = dict(row)
        for name in times:
            value = row.get(name)
            if isinstance(value, datetime):
                sent[name] = value.isoformat()
        made.append(sent)
    return made
