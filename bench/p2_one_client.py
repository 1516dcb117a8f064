"""P2: how long the four steps of a lifecycle take on Kafka and Neo4j, one client."""

from typing import Any

from bench.engines import engines
from bench.p1_lifecycles import median, turns_on
from bench.results import Durability, Figure, Ours, Row, compared, not_measured, part
from bench.temporal import temporal
from tests.services.jars import NotHere

#: Shares of what Temporal takes, by durability class.
TEMPORAL = {"F": part(8), "P": part(15)}
_COUNT, _QUICK_COUNT = 300, 8


def measure(quick: bool) -> list[Row]:
    """Both classes, each on servers of its own."""
    beside = temporal(1, _QUICK_COUNT if quick else _COUNT)
    classes: tuple[Durability, ...] = ("P",) if quick else ("P", "F")
    rows: list[Row] = []
    try:
        for durability in classes:
            with engines(quick=quick, fsync=durability == "F") as servers:
                turns = turns_on(servers, quick, tenants=1, clients=1, count=_COUNT)
            rows += _rows(turns, durability, beside, quick)
    except NotHere as error:
        return [not_measured("P2", "the four steps of a lifecycle, p50", "ms", str(error))]
    return rows


def _rows(
    turns: list[dict[str, Any]], durability: Durability, beside: dict[str, float] | str, quick: bool
) -> list[Row]:
    ours = median(turns, lambda turn: turn["ours"]["p50"])
    appends = median(turns, lambda turn: turn["each"]["p50"])
    what = "the four steps, p50, beside a bare producer's eight appends, one after the other"
    bare = compared("P2", what, "ms", (ours, appends), durability=durability)
    what, goal = "the four steps, p50, beside a workflow with one activity", TEMPORAL[durability]
    if isinstance(beside, str):
        return [bare, not_measured("P2", what, "ms", beside, Ours(ours, goal.text, durability))]
    sides = (ours, beside["p50"])
    return [bare, compared("P2", what, "ms", sides, goal, quick=quick, durability=durability)]


FIGURE = Figure("P2", "a lifecycle on Kafka and Neo4j, one client", measure)
