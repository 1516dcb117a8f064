"""P6: an empty Neo4j made from the log, beside folding; and the graph as it was, beside as it is.

A million events take half an hour: `python -m bench.rebuild --events 100000 1000000` does it.
"""

import json
import statistics

from bench.engines import engines
from bench.processes import ROOT, answer
from bench.results import Figure, Goal, Row, at_least, compared, not_measured
from tests.services.jars import NotHere

FOLD_SHARE, LINEAR = 0.9, 0.1
_SIZES = ("--events", "100000", "300000", "--turns", "2", "--questions", "40")
_QUICK_SIZES = ("--events", "300", "600", "--turns", "1", "--questions", "3")


def measure(quick: bool) -> list[Row]:
    """In turns on one server; the graph is emptied before each."""
    try:
        with engines(quick=quick) as servers:
            file = servers.installation(partitions=1)
            words = _QUICK_SIZES if quick else _SIZES
            found = json.loads(answer(ROOT, "-m", "bench.rebuild", "--config", str(file), *words))
    except NotHere as error:
        return [not_measured("P6", "events rebuilt", "1/s", str(error))]
    rates = {int(count): rate for count, rate in found["rates"].items()}
    rows = [
        compared(
            "P6",
            f"{count:,} events rebuilt into an empty Neo4j, beside folding them",
            "1/s",
            (ours, folded),
            at_least(FOLD_SHARE),
            quick=quick,
            durability="F",
        )
        for count, (ours, folded) in rates.items()
    ]
    few, many = (rates[count][0] for count in sorted(rates))
    linear = Goal("± 10 %", lambda ours, beside: abs(ours - beside) <= LINEAR * beside)
    what = f"{max(rates):,} events rebuilt, beside {min(rates):,}"
    rows.append(compared("P6", what, "1/s", (many, few), linear, quick=quick, durability="F"))
    present = _p95(found["present"])
    for name, times in (("as_of_first", "first"), ("as_of", "again")):
        sides = _p95(found[name]), present
        what = f"p95 of a question as of a moment asked for {times}, beside the same one now"
        rows.append(compared("P6", what, "ms", sides, quick=quick, durability="–"))
    return rows


def _p95(seconds: list[float]) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1] * 1000


FIGURE = Figure("P6", "a rebuild, and the graph as it was", measure)
