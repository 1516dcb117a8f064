"""What dashboards and alerts ask of Prometheus, and whether one that has asked the platform for a
short time only can answer."""

import json
import re
from typing import NamedTuple

import yaml

from tests.deploy.dashboards import FOLDER, MONITORING
from tests.deploy.promql import Token, tokens, uses
from tests.services.prometheus import Prometheus

#: Of the kubelet and of kube-state-metrics.
OUTSIDE = ("container_", "kube_")
_SUFFIX = re.compile(r"_(total|bucket|count|sum)$")
_DIVIDERS = frozenset({"and", "or", "unless", "bool", "==", "!=", ">", "<", ">=", "<="})


class Asked(NamedTuple):
    """An expression, and where it stands."""

    where: str
    expression: str


def every_expression() -> list[Asked]:
    """Those of all panels and alerts."""
    found = [
        Asked(f"{path.stem}: {panel['title']}", target["expr"])
        for path in sorted(FOLDER.glob("*.json"))
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel["targets"]
    ]
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text("utf-8"))["groups"]:
        found += [Asked(rule["alert"], rule["expr"]) for rule in group["rules"]]
    return found


def unanswered(prometheus: Prometheus, expression: str) -> list[str]:
    """The parts of an expression that have no data although what they are about was counted, or
    that ask for what nobody exports. Raises `Refused` where it does not parse."""
    prometheus.query(expression)
    return [part for part in parts(expression) if not _answered(prometheus, part)]


def _answered(prometheus: Prometheus, part: str) -> bool:
    metrics = {one.metric for one in uses(part)}
    if not metrics or any(metric.startswith(OUTSIDE) for metric in metrics):
        return True
    if prometheus.query(part):
        return True
    exported = prometheus.ask("metadata")
    known = all({one, _SUFFIX.sub("", one)} & set(exported) for one in metrics)
    never = [one for one in selectors(part) if not any(v for _, v in prometheus.query(one))]
    return known and bool(never)


def parts(expression: str) -> list[str]:
    """What an expression compares and connects: alerts that do not fire have no data, what they
    look at has. Nothing looks further back than the platform runs."""
    found: list[list[str]] = [[]]
    depth, before = 0, ""
    for one in tokens(expression):
        depth += (one.text in "({") - (one.text in ")}")
        if depth == 0 and one.text in _DIVIDERS:
            found.append([])
        elif "offset" not in {one.text, before} and one.text != "absent":
            # Steps of a subquery are at round times.
            found[-1].append(re.sub(r":\w+\]", ":1s]", one.text))
        before = one.text
    return [" ".join(words) for words in found if words]


def selectors(expression: str) -> list[str]:
    """Every metric of an expression with what its labels are to match."""
    found: list[str] = []
    every = [*tokens(expression), Token("sign", "")]
    place = 0
    while place < len(every) - 1:
        one, after = every[place], every[place + 1].text
        place += 1
        if one.kind == "word" and after == "{":
            end = next(n for n in range(place, len(every)) if every[n].text == "}") + 1
            found.append(" ".join(token.text for token in every[place - 1 : end]))
            place = end
        elif one.text == "by":
            place = next(n for n in range(place, len(every)) if every[n].text == ")") + 1
        elif one.kind == "word" and after not in {"(", "by"} and one.text not in _DIVIDERS:
            found.append(one.text)
    return found
