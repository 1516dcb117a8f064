"""What a figure consists of, and how it is shown: a table, and rows of JSON."""

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from rich.table import Table

from agent_orchestration.cli.text import console

#: M memory, P page cache, F fsync; – where nothing is written.
Durability = Literal["M", "P", "F", "–"]
Machine = dict[str, str | int | float | None]
_LIBRARIES = ("fastmcp", "kglite", "mcp", "msgspec", "pydantic", "starlette", "uvicorn")
_MET = {True: "yes", False: "no", None: "–"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the results; `bench/__init__.py` says what belongs into the fields."""

    id: str
    what: str
    unit: str
    ours: float | None
    beside: float | None
    ratio: float | None
    goal: str
    met: bool | None
    durability: Durability
    note: str = ""


class Figure(NamedTuple):
    """Something that can be measured. `measure` is told whether tiny counts will do."""

    id: str
    what: str
    measure: Callable[[bool], list[Row]]


def ratio(ours: float, beside: float) -> float:
    """How many times `beside` is contained in `ours`."""
    return round(ours / beside, 3)


@dataclass(frozen=True)
class Goal:
    """What is asked of a figure, and whether it holds, told both sides."""

    text: str
    holds: Callable[[float, float], bool]


def at_least(times: float) -> Goal:
    """So many times as much as the other side."""
    return Goal(f"≥ {times:g}×", lambda ours, beside: ours >= times * beside)


def at_most(times: float) -> Goal:
    """No more than so many times the other side."""
    return Goal(f"≤ {times:g}×", lambda ours, beside: ours <= times * beside)


def part(parts: int) -> Goal:
    """No more than one of so many parts of the other side."""
    return Goal(f"≤ 1/{parts}", lambda ours, beside: ours * parts <= beside)


def within(more: float, unit: str) -> Goal:
    """No more than the other side and so much."""
    return Goal(f"≤ +{more:g} {unit}", lambda ours, beside: ours <= beside + more)


def compared(
    figure: str,
    what: str,
    unit: str,
    sides: tuple[float, float | None],
    goal: Goal | None = None,
    *,
    durability: Durability,
    quick: bool = False,
    note: str = "",
) -> Row:
    """A row of both sides, or of ours alone. Tiny counts (`quick`) prove no goal."""
    ours, beside = sides
    met = None
    if goal is not None and beside is not None and not quick:
        met = goal.holds(ours, beside)
    return Row(
        id=figure,
        what=what,
        unit=unit,
        ours=ours,
        beside=beside,
        ratio=ratio(ours, beside) if beside else None,
        goal=goal.text if goal else "–",
        met=met,
        durability=durability,
        note=note,
    )


class Ours(NamedTuple):
    """The side of a row that was measured, where the other one was not."""

    value: float | None
    goal: str
    durability: Durability


_NOTHING = Ours(None, "–", "–")


def not_measured(figure: str, what: str, unit: str, why: str, ours: Ours = _NOTHING) -> Row:
    """A row without its other side, or without both."""
    return Row(
        id=figure,
        what=what,
        unit=unit,
        ours=ours.value,
        beside=None,
        ratio=None,
        goal=ours.goal,
        met=None,
        durability=ours.durability,
        note=f"not measured: {why}",
    )


def machine() -> Machine:
    """What the figures depend on beside the code: cores, how many processes wanted them in the last
    minute, system, versions. Asked before measuring, so that `load` is that of the neighbours."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
    }


def as_data(rows: Sequence[Row], where: Machine, *, quick: bool) -> list[dict[str, Any]]:
    """The rows as plain data; each says how to repeat it, and where it was measured."""
    repeat = " ".join(["python -m bench {}", *(["--quick"] if quick else [])])
    return [
        msgspec.to_builtins(row) | {"repeat": repeat.format(row.id), "machine": where}
        for row in rows
    ]


def write(path: Path, data: Sequence[dict[str, Any]]) -> None:
    """Write the data of all rows as one JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data)) + b"\n")


def show(rows: Sequence[Row], where: Machine) -> None:
    """Print a table, and below it what it stands for."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "unit", "ours", "beside", "ratio", "goal", "met", "class"):
        figure = heading in {"ours", "beside", "ratio"}
        table.add_column(heading, justify="right" if figure else "left", no_wrap=figure)
    for row in rows:
        numbers = (_number(row.ours), _number(row.beside), _number(row.ratio))
        what = f"{row.what} ({row.note})" if row.note else row.what
        table.add_row(row.id, what, row.unit, *numbers, row.goal, _MET[row.met], row.durability)
    wide = console()
    wide.print(table)
    wide.print(
        f"\n{where['cores']} cores, load {where['load']} before, {where['system']}, "
        f"Python {where['python']}; "
        + ", ".join(f"{library} {where[library]}" for library in _LIBRARIES)
    )
    wide.print("class: durability of writes; M memory, P page cache, F fsync")


def progress(text: str) -> None:
    """Tell what is under way, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
