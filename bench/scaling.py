"""Scaling: processors that share 8 partitions, and what callers notice when one comes or goes."""

import json
from typing import Any

from bench.engines import Engines, engines
from bench.processes import ROOT, answer
from bench.results import Figure, Row, compared, not_measured
from tests.services.jars import NotHere

PROCESSORS, _QUICK_PROCESSORS = (1, 2, 4), (1,)
_COUNT, _QUICK_COUNT = 5000, 64
_SECONDS, _QUICK_SECONDS = 15.0, 0.5


def measure(quick: bool) -> list[Row]:
    """The same clients each time, on new topics and an empty graph."""
    counts = _QUICK_PROCESSORS if quick else PROCESSORS
    seconds = str(_QUICK_SECONDS if quick else _SECONDS)
    found: dict[int, dict[str, Any]] = {}
    try:
        with engines(quick=quick) as servers:
            for count in counts:
                words = ("--processors", str(count), "--seconds", seconds)
                words = (*words, "--config", str(servers.installation()))
                words = (*words, "--changes") if count == max(counts) and not quick else words
                found[count] = json.loads(answer(ROOT, "-m", "bench.processors", *words))
            costs = _costs(servers, quick)
    except NotHere as error:
        return [not_measured("SCALING", "lifecycles with several processors", "1/s", str(error))]
    one = found[counts[0]]["rate"]
    rows = [
        _row(
            f"lifecycles, {count} processor{'' if count == 1 else 's'}, beside one",
            "1/s",
            (its["rate"], one),
        )
        for count, its in found.items()
    ]
    last = found[counts[-1]]
    for change, pauses in last["pauses"].items():
        what = f"longest time without an answer, the worst partition, when a processor {change}"
        rows.append(_row(f"{what}, beside calm", "s", (pauses, last["calm"])))
    return rows + costs


def _costs(servers: Engines, quick: bool) -> list[Row]:
    """What a lifecycle costs each of the three, which says how far more of them would reach."""
    count = _QUICK_COUNT if quick else _COUNT
    words = ("--config", str(servers.installation()), "--tenants", "8", "--count", str(count))
    before = servers.processor_seconds()
    rate = json.loads(answer(ROOT, "-m", "bench.lifecycles", *words))
    costs = {"the platform and its clients": rate["processor"]}
    for name, seconds in servers.processor_seconds().items():
        costs[name] = 1000 * (seconds - before[name]) / count
    return [
        compared(
            "SCALING", f"processor time of a lifecycle: {name}", "ms", (cost, None), durability="P"
        )
        for name, cost in costs.items()
    ]


def _row(what: str, unit: str, sides: tuple[float, float]) -> Row:
    what = f"{what} (8 partitions, 64 tenants, 64 clients)"
    return compared("SCALING", what, unit, sides, durability="P")


FIGURE = Figure(
    "SCALING", "processors that share the partitions, and their coming and going", measure
)
