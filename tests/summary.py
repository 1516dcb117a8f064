"""What a test run says of itself at its end: tests by engine, and what the simulation met."""

from collections import Counter
from collections.abc import Iterable
from typing import cast

import pytest
from _pytest.terminal import TerminalReporter

ENGINES = ("kafka", "neo4j", "sqlite", "kglite")
ENGINE, SIMULATED = "engine", "simulated"
"""Names of properties that tests carry: an engine; (what happened in a simulation, how often)."""
PLANTED = "test_a_planted_bug_is_found"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that name an engine, or ask for a fixture that does, are tests of it.

    What takes long comes first: at the end, one process would be left alone with it.
    """
    items.sort(key=lambda item: "tests/simulation/" not in item.nodeid)
    for item in items:
        names = " ".join((item.nodeid, *getattr(item, "fixturenames", ()))).lower()
        item.user_properties += [(ENGINE, engine) for engine in ENGINES if engine in names]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print both, where there is something to say."""
    passed: list[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    engines: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for report in passed:
        for name, value in report.user_properties:
            if name == ENGINE:
                engines[str(value)] += 1
            elif name == SIMULATED:
                met.update(cast("dict[str, int]", value))
    if engines:
        terminalreporter.write_line(f"tests by engine: {_counted(engines, ENGINES)}")
    if met:
        bugs = sum(PLANTED in report.nodeid for report in passed)
        rates = ("seeds", "steps", "commands", "events")
        faults = sorted(name for name in met if name not in rates)
        terminalreporter.write_line(
            f"simulation: {_counted(met, rates)}, {bugs} planted bugs found"
        )
        terminalreporter.write_line(f"  faults: {_counted(met, faults)}")


def _counted(counts: Counter[str], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in names)
