"""The dashboards of Grafana, from what `dashboards.yaml` says they show.
`python -m tests.deploy.dashboards` writes them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import ROOT

MONITORING = ROOT / "helm" / "agent-orchestration" / "monitoring"
FOLDER = MONITORING / "dashboards"

Panel = dict[str, Any]

#: Where the numbers come from: whoever looks chooses, and begins with the default.
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PAGE_WIDTH = 24
#: Width and height of a panel, in the units of Grafana.
SIZES = {"timeseries": (12, 8), "stat": (4, 4)}


def described() -> dict[str, Any]:
    """What each dashboard shows, by the name of its file."""
    return yaml.safe_load((MONITORING / "dashboards.yaml").read_text("utf-8"))


def panels(shown: list[Panel]) -> Iterator[Panel]:
    """The panels, each behind the one before it, or on a new line where there is no more room."""
    left = top = below = 0
    for number, one in enumerate(shown, 1):
        kind = one.get("kind", "timeseries")
        width, height = SIZES[kind]
        if left + width > PAGE_WIDTH or (height != below - top and left):
            left, top = 0, below
        yield {
            "id": number,
            "type": kind,
            "title": one["title"],
            "datasource": SOURCE,
            "gridPos": {"h": height, "w": width, "x": left, "y": top},
            "fieldConfig": {
                "defaults": {"unit": one.get("unit", "short"), "min": 0},
                "overrides": [],
            },
            "targets": [
                {
                    "refId": chr(ord("A") + place),
                    "datasource": SOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                }
                for place, (legend, expression) in enumerate(one["show"].items())
            ],
        }
        left, below = left + width, top + height


def dashboard(name: str, what: dict[str, Any]) -> dict[str, Any]:
    """A dashboard as Grafana reads it; `name` is that of its file."""
    return {
        "uid": re.sub(r"_(\w)", lambda found: found[1].upper(), name),
        "title": what["title"],
        "tags": ["agent-orchestration"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": list(panels(what["panels"])),
    }


def files() -> dict[Path, str]:
    """The content of every file that is made from the description."""
    return {
        FOLDER / f"{name}.json": json.dumps(dashboard(name, what), indent=2) + "\n"
        for name, what in described().items()
    }


if __name__ == "__main__":
    for _path, _content in files().items():
        _path.write_text(_content, "utf-8")
