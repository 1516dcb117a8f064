"""P6: an empty Neo4j made from the log, beside folding; the graph as it was, beside as it is."""

import json
import statistics
from pathlib import Path
from typing import Any

from bench.engines import Engines, engines
from bench.processes import ROOT, answer
from bench.results import Figure, Goal, Row, at_least, compared, not_measured
from tests.services.jars import NotHere

FOLD_SHARE, LINEAR = 0.9, 0.1
#: Events that are measured, and questions.
_SIZES, _QUICK = ((100_000, 300_000), 40), ((300, 600), 3)
#: Events by which a server gets warm.
_WARM = 50_000


def measure(quick: bool) -> list[Row]:
    """One after the other, each on a server as new that has become warm."""
    try:
        with engines(quick=quick) as servers:
            counts, questions = _QUICK if quick else _SIZES
            warming = None if quick else servers.installation(partitions=1)
            if warming is not None:
                _asked(warming, "append", _WARM)
            files = [servers.installation(partitions=1) for _ in counts]
            pairs = zip(files, counts, strict=True)
            rates = dict(_rates(servers, warming, file, count) for file, count in pairs)
            asked = _asked(files[-1], "ask", questions)
    except NotHere as error:
        return [not_measured("P6", "events rebuilt", "1/s", str(error))]
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
    present = _p95(asked["present"])
    for name, times in (("as_of_first", "first"), ("as_of", "again")):
        sides = _p95(asked[name]), present
        what = f"p95 of a question as of a moment asked for {times}, beside the same one now"
        rows.append(compared("P6", what, "ms", sides, quick=quick, durability="–"))
    return rows


def _rates(
    servers: Engines, warming: Path | None, file: Path, count: int
) -> tuple[int, tuple[float, float]]:
    """How many events there are, and how many of them a second were rebuilt and folded."""
    there = _asked(file, "append", count)
    seconds: list[float] = []
    for what in ("rebuild", "fold"):
        if warming is not None:
            servers.renew_graph()
            _asked(warming, "fold")  # a new server is slow
        servers.empty_graph()
        seconds.append(_asked(file, what))
    return there, (there / seconds[0], there / seconds[1])


def _asked(file: Path, what: str, number: int = 0) -> Any:
    words = ("--config", str(file), what, str(number))
    return json.loads(answer(ROOT, "-m", "bench.rebuild", *words))


def _p95(seconds: list[float]) -> float:
    """In milliseconds."""
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1] * 1000


FIGURE = Figure("P6", "a rebuild, and the graph as it was", measure)
