"""P13: what it costs to be watched: P1's lifecycles with measures, logs and traces, and without."""

import json
import statistics
from typing import Any

from bench.engines import engines
from bench.processes import ROOT, answer
from bench.results import Figure, Row, at_least, at_most, compared, not_measured
from tests.services.jars import NotHere

SHARE = 0.9
_COUNT, _QUICK_COUNT = 1000, 64
_TURNS, _QUICK_TURNS = 10, 1
_WARM, _QUICK_WARM = 6, 1
_SIDES = (
    ("decided", "lifecycles until acknowledged", "1/s"),
    ("caught_up", "lifecycles until in the graph", "1/s"),
    ("processor", "processor time of a lifecycle", "ms"),
)


def measure(quick: bool) -> list[Row]:
    """Both sides in turns, in one process."""
    try:
        with engines(quick=quick) as servers:
            sizes = {
                "--config": servers.installation(),
                "--count": _QUICK_COUNT if quick else _COUNT,
                "--warm": _QUICK_WARM if quick else _WARM,
                "--turns": _QUICK_TURNS if quick else _TURNS,
            }
            words = (str(word) for pair in sizes.items() for word in pair)
            turns = json.loads(answer(ROOT, "-m", "bench.lifecycles_watched", *words))
    except NotHere as error:
        return [not_measured("P13", "lifecycles that are watched", "1/s", str(error))]
    return [_row(turns, *side, quick=quick) for side in _SIDES]


def _row(turns: list[dict[str, Any]], name: str, what: str, unit: str, *, quick: bool) -> Row:
    on, off = (statistics.median(turn[side][name] for turn in turns) for side in ("on", "off"))
    spans = sum(turn["spans"] for turn in turns)
    return compared(
        "P13",
        f"{what}, with measures, logs and traces, beside without",
        unit,
        (on, off),
        at_most(1 / SHARE) if unit == "ms" else at_least(SHARE),
        quick=quick,
        durability="P",
        note=f"{spans} spans in {len(turns)} turns",
    )


FIGURE = Figure("P13", "what it costs to be watched, on Kafka and Neo4j", measure)
