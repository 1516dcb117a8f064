"""P3: folding events into Neo4j, beside loaders that write the same rows.

A million events take a quarter of an hour: `python -m bench.fold` does any number of them.
"""

import json
import statistics

from bench.engines import engines
from bench.processes import ROOT, answer
from bench.results import Figure, Row, at_least, compared, not_measured
from tests.services.jars import NotHere

RAW_SHARE, SINGLE_TIMES = 0.8, 2
_EVENTS, _QUICK_EVENTS = 100_000, 300
_TURNS, _QUICK_TURNS = 3, 1
_SINGLES, _QUICK_SINGLES = 1000, 10


def measure(quick: bool) -> list[Row]:
    """In turns on one server; the graph is emptied before each."""
    sizes = {
        "--events": _QUICK_EVENTS if quick else _EVENTS,
        "--turns": _QUICK_TURNS if quick else _TURNS,
        "--singles": _QUICK_SINGLES if quick else _SINGLES,
    }
    words = [str(word) for pair in sizes.items() for word in pair]
    try:
        with engines(quick=quick) as servers:
            file = servers.installation(partitions=1)
            found = json.loads(answer(ROOT, "-m", "bench.fold", "--config", str(file), *words))
    except NotHere as error:
        return [not_measured("P3", "events folded", "1/s", str(error))]
    ours, raw = (statistics.median(turn[side] for turn in found["turns"]) for side in _SIDES)
    what = f"{found['events']:,} events folded, history on, beside"
    loaded = f"{what} a raw UNWIND loader of the same {found['rows']:,} rows and relationships"
    single = f"{what} a loader with a transaction for each event's row"
    return [
        compared("P3", what, "1/s", (ours, beside), at_least(times), quick=quick, durability="F")
        for what, beside, times in (
            (loaded, raw, RAW_SHARE),
            (single, found["one_by_one"], SINGLE_TIMES),
        )
    ]


_SIDES = ("ours", "raw")


FIGURE = Figure("P3", "events folded into Neo4j a second", measure)
