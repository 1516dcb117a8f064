"""The measurements run and write results that can be read; what they measure is not asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import FIGURES
from bench.results import Figure, Row, machine, show
from tests.architecture.source import BENCH, ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]


class Result(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row as it is written."""

    repeat: str
    machine: dict[str, str | int | float | None]


def bench(*words: str) -> str:
    """What a program of the measurements prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=280,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("figure", FIGURES.values(), ids=lambda figure: figure.id)
def test_a_figure_is_measured(figure: Figure, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    printed = bench("bench", figure.id, "--quick", "--json", "--output", str(file))
    assert json.loads(printed) == json.loads(file.read_bytes())
    rows = msgspec.json.decode(file.read_bytes(), type=list[Result])
    assert rows
    for row in rows:
        assert row.id == figure.id
        assert row.what
        assert row.goal
        assert row.met is None
        assert (row.ratio is None) == (row.ours is None or row.beside is None)
        assert row.repeat == f"python -m bench {figure.id} --quick"


def test_every_module_of_a_figure_is_listed() -> None:
    modules = {path.stem.partition("_")[0] for path in BENCH.glob("p[0-9]*_*.py")}
    assert modules | {"scaling"} == {name.lower() for name in FIGURES}


def test_the_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(
        id="P0",
        what="nothing",
        unit="ms",
        ours=12345.6,
        beside=0.5,
        ratio=None,
        goal="≤ 1×",
        met=True,
        durability="M",
        note="made up",
    )
    show([row, msgspec.structs.replace(row, met=None)], machine())
    printed = capsys.readouterr().out
    assert printed.count("P0") == 2
    assert all(text in printed for text in ("nothing (made up)", "12,346", "0.5", "yes", "cores"))


def test_unknown_figures_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "P0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "known are P1" in done.stderr


def test_the_profile_names_functions() -> None:
    printed = bench("bench.profile", "--count", "64", "--top", "3")
    assert "agent_orchestration/" in printed
    assert printed.count("own") == 3
