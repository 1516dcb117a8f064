"""P5: reading what one has just written, on Kafka and Neo4j at half load."""

import json
import statistics

from bench.engines import Engines, engines
from bench.lifecycles import CLIENTS
from bench.processes import ROOT, answer
from bench.results import Figure, Row, compared, not_measured, within
from tests.services.jars import NotHere

MORE_MS = 15.0
_COUNT, _QUICK_COUNT = 2000, 64
_SECONDS, _QUICK_SECONDS = 20.0, 0.5
_TURNS, _QUICK_TURNS = 3, 1


def measure(quick: bool) -> list[Row]:
    """In turns: the rate that clients reach, then half of it while somebody reads."""
    try:
        with engines(quick=quick) as servers:
            if not quick:
                _turn(servers, quick)  # a new server is slow
            turns = [_turn(servers, quick) for _ in range(_QUICK_TURNS if quick else _TURNS)]
    except NotHere as error:
        return [not_measured("P5", "read after own write, p50", "ms", str(error))]
    read, matched, rate = (statistics.median(turn[n] for turn in turns) for n in _NAMES)
    what = f"read after own write at {rate:.0f} lifecycles/s, p50, beside a bare MATCH by key"
    goal = within(MORE_MS, "ms")
    return [compared("P5", what, "ms", (read, matched), goal, quick=quick, durability="P")]


_NAMES = ("read", "match", "rate")


def _turn(servers: Engines, quick: bool) -> dict[str, float]:
    count = str(_QUICK_COUNT if quick else _COUNT)
    words = (
        "--config",
        str(servers.installation()),
        "--tenants",
        "8",
        "--clients",
        str(CLIENTS),
        "--count",
        count,
    )
    whole = json.loads(answer(ROOT, "-m", "bench.lifecycles", *words))
    words = ("--config", str(servers.installation()), "--rate", str(whole["caught_up"] / 2))
    seconds = str(_QUICK_SECONDS if quick else _SECONDS)
    return json.loads(answer(ROOT, "-m", "bench.own_writes", *words, "--seconds", seconds))


FIGURE = Figure("P5", "reading own writes at half load, on Kafka and Neo4j", measure)
