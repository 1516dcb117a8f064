"""P10: twice the work that can be done, on Kafka and Neo4j, through the front door."""

import json
from typing import Any

from bench.engines import engines
from bench.processes import ROOT, answer
from bench.results import Figure, Goal, Row, at_least, at_most, compared, not_measured
from tests.services.jars import NotHere

GOODPUT, FLAT, BOUND_MS = 0.9, 1.1, 10_000.0
#: Less than so many times the peak is not the overload that is asked for, and proves nothing.
_TIMES = 1.5
_WARM, _QUICK_WARM = 20.0, 1.0
_SECONDS, _QUICK_SECONDS = 180.0, 2.0


def measure(quick: bool) -> list[Row]:
    """One processor, one server, and clients that take little; the peak, then twice its rate."""
    warm, seconds = (_QUICK_WARM, _QUICK_SECONDS) if quick else (_WARM, _SECONDS)
    try:
        with engines(quick=quick) as servers:
            words = ("--config", str(servers.installation()))
            words = (*words, "--warm", str(warm), "--seconds", str(seconds))
            found = json.loads(answer(ROOT, "-m", "bench.overload", *words))
    except NotHere as error:
        return [not_measured("P10", "lifecycles at twice the peak's rate", "1/s", str(error))]
    return _rows(found, quick)


def _rows(found: dict[str, Any], quick: bool) -> list[Row]:
    proves_nothing = quick or found["times"] < _TIMES
    note = f"offered {found['times']:.1f} times the peak"

    def row(what: str, unit: str, sides: tuple[float, float | None], goal: Goal | None) -> Row:
        ours, beside = sides
        return compared(
            "P10",
            what,
            unit,
            # In a quick run nothing may have been finished, beside which there is no ratio.
            (ours, beside or None),
            goal,
            quick=proves_nothing,
            durability="P",
            note=note,
        )

    goodput = found["goodput"], found["peak"]
    what = f"lifecycles under overload for {found['seconds']:.0f} s"
    rows = [row(f"{what}, finished, beside the peak", "1/s", goodput, at_least(GOODPUT))]
    bounded = Goal(f"≤ {BOUND_MS:,.0f} ms", lambda ours, _: ours <= BOUND_MS)
    sides = found["busy"]["0.99"], found["calm"]["0.99"]
    rows.append(row("accepted calls, p99, beside the peak's", "ms", sides, bounded))
    sides = found["busy"]["0.5"], found["calm"]["0.5"]
    rows.append(row("accepted calls, p50, beside the peak's", "ms", sides, None))
    sides = float(found["refused"]), float(found["offered"])
    rows.append(row("lifecycles refused at their first step, beside all", "1", sides, None))
    for name, (_, middle, end) in found["memory"].items():
        sides = end, middle
        what = f"memory of the {name}, last third beside the second"
        rows.append(row(what, "MB", sides, at_most(FLAT)))
    rows.append(row("events that the graph lacked at the end", "1", (found["lag"], None), None))
    rows.append(row("until it had them all", "s", (found["caught_up"], None), None))
    rows.append(row("the clients' share of a processor", "1", (found["client"], None), None))
    return rows


FIGURE = Figure("P10", "twice the work that can be done, on Kafka and Neo4j", measure)
