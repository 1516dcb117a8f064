"""P1: lifecycles of tasks on Kafka and Neo4j, many clients."""

import json
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.engines import PARTITIONS, Engines, engines
from bench.lifecycles import CLIENTS
from bench.processes import ROOT, answer
from bench.results import Durability, Figure, Ours, Row, at_least, compared, not_measured
from bench.temporal import temporal
from tests.services.jars import NotHere

TENANTS = (1, 8)
BARE_SHARE = 0.5
#: Times what Temporal does, by durability class: decided, and with the graph caught up.
TEMPORAL = {"F": (30, 25), "P": (50, 35)}
_COUNT, _QUICK_COUNT = 1000, 64
_TURNS, _QUICK_TURNS = 5, 1
#: Turns before those: a new server compiles itself for a minute.
_WARM, _QUICK_WARM = 9, 1


class Side(NamedTuple):
    """One of the two moments at which a lifecycle counts as done."""

    name: str
    until: str


_SIDES = (Side("decided", "acknowledged"), Side("caught_up", "in the graph"))


def measure(quick: bool) -> list[Row]:
    """Both classes, each on servers of its own."""
    beside = temporal(CLIENTS, CLIENTS if quick else _COUNT)
    classes: tuple[Durability, ...] = ("P",) if quick else ("P", "F")
    try:
        return [row for durability in classes for row in _rows(durability, beside, quick)]
    except NotHere as error:
        return [not_measured("P1", "lifecycles", "1/s", str(error))]


def _rows(durability: Durability, beside: dict[str, float] | str, quick: bool) -> list[Row]:
    rows: list[Row] = []
    with engines(quick=quick, fsync=durability == "F") as servers:
        for tenants in TENANTS[-1:] if quick else TENANTS:
            turns = turns_on(servers, quick, tenants=tenants, clients=CLIENTS)
            rows += _beside_appends(turns, durability, tenants, quick)
            if tenants == TENANTS[-1]:
                rows += _beside_temporal(turns, durability, beside, quick)
    return rows


def turns_on(
    servers: Engines, quick: bool, *, tenants: int, clients: int, count: int = _COUNT
) -> list[dict[str, Any]]:
    """The turns of the platform and the bare producer, as `bench.lifecycles_beside` has them."""
    sizes = {
        "--config": servers.installation(1 if tenants == 1 else PARTITIONS),
        "--tenants": tenants,
        "--clients": clients,
        "--count": _QUICK_COUNT if quick else count,
        "--warm": _QUICK_WARM if quick else _WARM,
        "--turns": _QUICK_TURNS if quick else _TURNS,
    }
    words = (str(word) for pair in sizes.items() for word in pair)
    return json.loads(answer(ROOT, "-m", "bench.lifecycles_beside", *words))


def median(turns: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> float:
    """Of one figure of all turns."""
    return statistics.median(map(value, turns))


def _beside_appends(
    turns: list[dict[str, Any]], durability: Durability, tenants: int, quick: bool
) -> list[Row]:
    appended = (
        ("the same records, each acknowledged", median(turns, lambda turn: turn["each"]["rate"])),
        ("the same records, as fast as they go", median(turns, lambda turn: turn["bulk"])),
    )
    where = "1 tenant" if tenants == 1 else f"{tenants} tenants, {PARTITIONS} partitions"
    return [
        compared(
            "P1",
            f"lifecycles until {side.until}, {where}, beside a bare producer: {what}",
            "1/s",
            (median(turns, lambda turn, name=side.name: turn["ours"][name]), beside),
            at_least(BARE_SHARE),
            quick=quick,
            durability=durability,
        )
        for side in _SIDES
        for what, beside in appended
    ]


def _beside_temporal(
    turns: list[dict[str, Any]],
    durability: Durability,
    beside: dict[str, float] | str,
    quick: bool,
) -> list[Row]:
    rows: list[Row] = []
    for side, times in zip(_SIDES, TEMPORAL[durability], strict=True):
        like = "" if durability == "F" else " (which fsyncs: not like for like)"
        what = f"lifecycles until {side.until}, {TENANTS[-1]} tenants, beside Temporal{like}"
        ours = median(turns, lambda turn, name=side.name: turn["ours"][name])
        goal = at_least(times)
        if isinstance(beside, str):
            ours_only = Ours(ours, goal.text, durability)
            rows.append(not_measured("P1", what, "1/s", beside, ours_only))
        else:
            sides = (ours, beside["rate"])
            rows.append(
                compared("P1", what, "1/s", sides, goal, quick=quick, durability=durability)
            )
    return rows


FIGURE = Figure("P1", "lifecycles a second on Kafka and Neo4j", measure)
