"""The table of settings says what the settings are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent_orchestration.config import VARIABLES, Config
from tests.deploy.files import ROOT

ROW = re.compile(r"\| `([a-z_.]+)` \|(?: `(\w+)`)? \|(?: `([^`]+)`)? \|(?: (.+))? \|")
PAGE = ROOT / "docs" / "configuration.md"


def settings(section: BaseModel, *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting's place with its default."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from settings(value, *above, name)
        else:
            yield (*above, name), value


def shown(value: Any) -> str:
    """A default as the table has it; empty where there is none."""
    if isinstance(value, Path):
        return f"~/{value.relative_to(Path.home())}"
    return f"{value:g}" if isinstance(value, float) else str(value or "")


def test_every_setting_is_listed_with_its_variable_and_its_default() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    rows = [found.groups() for line in lines if (found := ROW.fullmatch(line))]
    assert len(rows) == len(lines), "a row of another form"
    variables = {place: name for name, place in VARIABLES.items()}
    assert [(name, variable or "", default or "") for name, variable, default, _ in rows] == [
        (".".join(place), variables.get(place, ""), shown(value)) for place, value in wanted()
    ]


def wanted() -> list[tuple[tuple[str, ...], Any]]:
    """All settings in the order of the page."""
    first = re.findall(r"^\| `([a-z_.]+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    order = {name: position for position, name in enumerate(first)}
    return sorted(settings(Config()), key=lambda one: order.get(".".join(one[0]), len(order)))
