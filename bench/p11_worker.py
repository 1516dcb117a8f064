"""P11: what a worker adds to claiming and completing a task, and how many tasks it can hold."""

import json
from typing import Any

from bench.processes import ROOT, answer
from bench.results import Figure, Row, at_most, compared

MOST = 1.3
_CLIENTS = (1, 64)
_COUNT, _QUICK_COUNT = 500, 20
_AT_ONCE, _QUICK_AT_ONCE = 1000, 20
_BESIDE = {
    "calls": "the same two calls by hand",
    "commands": "the two commands alone, whose answers leave out the task",
}


def measure(quick: bool) -> list[Row]:
    """One task at a time, and many."""
    count = str(_QUICK_COUNT if quick else _COUNT)
    many = _QUICK_AT_ONCE if quick else _AT_ONCE
    rows: list[Row] = []
    for clients in _CLIENTS:
        words = ("--clients", str(clients), "--count", count, "--at-once", str(many))
        found = json.loads(answer(ROOT, "-m", "bench.worker", *words))
        rows += _overhead(found, clients, quick)
        if clients == max(_CLIENTS):
            rows += _at_once(found["at_once"], many, quick)
    return rows


def _overhead(found: dict[str, Any], clients: int, quick: bool) -> list[Row]:
    held = f"{clients} at a time"
    return [
        compared(
            "P11",
            f"a task claimed, nothing done, completed by a worker, {held}, beside {beside}: {kind}",
            "ms",
            (found["worker"][kind], found[way][kind]),
            at_most(MOST),
            quick=quick,
            durability="P",
        )
        for way, beside in _BESIDE.items()
        for kind in ("wall", "processor")
    ]


def _at_once(found: dict[str, float], many: int, quick: bool) -> list[Row]:
    """What was seen; that all of them were held at the same time is what it waited for."""
    said = {"held": ("until all are held", "s"), "finished": ("until all are completed", "s")}
    said["memory"] = ("memory that it took", "MB")
    return [
        compared(
            "P11",
            f"{many} tasks held by one worker at the same time: {what}",
            unit,
            (found[name], None),
            quick=quick,
            durability="P",
        )
        for name, (what, unit) in said.items()
    ]


FIGURE = Figure("P11", "a worker beside the calls that it makes, and 1,000 tasks at once", measure)
