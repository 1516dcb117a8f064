"""The series that Prometheus has of a platform, by their names with the labels of each."""

import re
from pathlib import Path

from agent_orchestration import measures
from agent_orchestration.measures import Measure
from agent_orchestration.metrics import METRICS
from tests.deploy.files import ROOT
from tests.deploy.promql import Use, uses

#: What Prometheus itself gives every series of a target, here or in Kubernetes.
TARGET = frozenset({"instance", "job", "namespace", "pod"})
#: Of others: Prometheus, the kubelet (cAdvisor), kube-state-metrics. No process can know its limit
#: of memory or how a Job ended.
ELSEWHERE = {
    "up": frozenset[str](),
    "container_memory_working_set_bytes": frozenset({"container"}),
    "container_spec_memory_limit_bytes": frozenset({"container"}),
    "kube_job_status_failed": frozenset({"job_name"}),
}
_PAGE = ROOT / "docs" / "metrics.md"
_ROW = re.compile(r"\| `(\w+)` \| \w+ \| ([^|]+) \|")
#: How modules name a measure that they write to: of the module, or imported by itself.
_WRITTEN = r"measures\.{0}\b|\b{0}\.\w+\("


def series() -> dict[str, frozenset[str]]:
    """Every name of a series, with the labels that it may have."""
    labels = _labels()
    found = dict(ELSEWHERE)
    for family in METRICS.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        own = labels.get(name, frozenset({key for one in family.samples for key in one.labels}))
        if family.type == "histogram":
            found |= {f"{name}_sum": own, f"{name}_count": own, f"{name}_bucket": own | {"le"}}
        else:
            found[name] = own
    return {name: own | TARGET for name, own in found.items()}


def _labels() -> dict[str, frozenset[str]]:
    """The labels of each metric, as the page about metrics has them."""
    rows = _ROW.findall(_PAGE.read_text("utf-8"))
    return {name: frozenset(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def silent(package: Path) -> set[str]:
    """The measures that no module of the package but their own speaks of."""
    code = "\n".join(
        path.read_text("utf-8") for path in package.rglob("*.py") if path.name != "measures.py"
    )
    return {
        measure.name
        for name, measure in vars(measures).items()
        if isinstance(measure, Measure) and not re.search(_WRITTEN.format(name), code)
    }


def missing(expression: str) -> list[Use]:
    """Of the metrics in an expression those that nobody exports, or not with these labels."""
    known = series()
    return [
        one
        for one in uses(expression)
        if one.metric not in known or not one.labels <= known[one.metric]
    ]
