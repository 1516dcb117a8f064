"""Service level objectives: what a file can say, what is computed, and what is found."""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agent_orchestration.cli.slo import packaged_objectives
from agent_orchestration.cli.slo_targets import (
    Bucket,
    Finding,
    NotMeasured,
    Objectives,
    Selector,
    Unmeasured,
    evaluate,
    histogram_quantile,
    load_objectives,
)
from agent_orchestration.core.errors import Rejected
from agent_orchestration.measures import MEASURES, Count

INF = math.inf
FAST = {"source": "histogram", "name": "fast", "unit": "seconds", "of": {"metric": "seconds"}}
BUSY = {
    "source": "rate",
    "name": "busy",
    "unit": "per second",
    "of": {"metric": "done_total"},
    "saturation": {"metric": "shed_total"},
    "at_least": 10,
}
RIGHT = {
    "source": "share",
    "name": "right",
    "unit": "ratio",
    "of": {"metric": "wrong_total"},
    "among": [{"metric": "done_total"}, {"metric": "read_total"}],
    "at_most": 0.1,
}
UP = {"source": "gauge", "name": "up", "unit": "ratio", "of": {"metric": "up"}, "at_least": 0.9}
NOBODY = {"source": "none yet", "name": "signups", "unit": "per day", "at_least": 1}


class Kept:
    """Values by metric; counters are of ten seconds."""

    def __init__(self, **values: float) -> None:
        self.values = values

    def increase(self, selector: Selector) -> float | None:
        return self.values.get(selector.metric)

    def rate(self, selector: Selector) -> float | None:
        found = self.increase(selector)
        return None if found is None else found / 10

    def mean(self, selector: Selector) -> float | None:
        return self.values.get(selector.metric)

    def buckets(self, selector: Selector) -> Sequence[Bucket]:
        return [(0.1, 90.0), (1.0, 100.0), (INF, 100.0)] if selector.metric in self.values else []


def found(target: dict[str, Any], **values: float) -> Finding:
    objectives = msgspec.convert({"business": [target]}, type=Objectives)
    [finding] = evaluate(objectives, Kept(**values))
    assert (finding.group, finding.name) == ("business", target["name"])
    return finding


# --- what is computed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantile", "value"),
    [(0.05, 0.25), (0.1, 0.5), (0.2, 1.0), (0.35, 1.75), (0.5, 4.0), (0.8, 10.0), (0.9, 10.0)],
)
def test_a_quantile_lies_in_its_bucket_as_far_as_values_are_spread_evenly(
    quantile: float, value: float
) -> None:
    # 4 values up to 1, 4 in (1, 2], none in (2, 3], 8 in (3, 10], 4 beyond: of 20.
    buckets = [(1.0, 4.0), (2.0, 8.0), (3.0, 8.0), (10.0, 16.0), (INF, 20.0)]
    expected = {0.5: 3 + 7 * (10 - 8) / 8}.get(quantile, value)
    assert histogram_quantile(quantile, buckets) == pytest.approx(expected)


def test_what_is_never_positive_does_not_begin_at_zero() -> None:
    assert histogram_quantile(0.5, [(-1.0, 4.0), (INF, 4.0)]) == -1.0


@pytest.mark.parametrize("buckets", [[], [(INF, 3.0)], [(1.0, 0.0), (INF, 0.0)]])
def test_without_values_there_is_no_quantile(buckets: list[Bucket]) -> None:
    with pytest.raises(NotMeasured):
        histogram_quantile(0.5, buckets)


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "state"), [(0.56, "met"), (0.55, "met"), (0.54, "missed"), (0.1, "missed")]
)
def test_at_its_bound_a_target_is_met(bound: float, state: str) -> None:
    # Half of the values between the bounds 0.1 and 1 are at most 0.55.
    finding = found(FAST | {"quantile": 0.95, "at_most": bound}, seconds=1)
    assert (finding.value, finding.state) == (pytest.approx(0.55), state)


def test_a_share_is_of_all_that_is_counted_together() -> None:
    met = found(RIGHT, wrong_total=4, done_total=30, read_total=10)
    assert (met.value, met.state, met.reason) == (0.1, "met", "")
    assert found(RIGHT, wrong_total=5, done_total=30, read_total=10).state == "missed"
    assert found(RIGHT, wrong_total=0, done_total=0, read_total=0).state == "not measured"


@pytest.mark.parametrize(
    ("done", "shed", "state"),
    [(100, 0, "met"), (100, 5, "met"), (99, 0, "not measured"), (99, 1, "missed")],
)
def test_a_low_rate_is_a_miss_where_more_was_asked_for(
    done: float, shed: float, state: str
) -> None:
    assert found(BUSY, done_total=done, shed_total=shed).state == state


@pytest.mark.parametrize(
    ("up", "state"), [(1.0, "met"), (0.89, "missed"), (math.nan, "not measured")]
)
def test_a_gauge_counts_by_its_mean(up: float, state: str) -> None:
    finding = found(UP, up=up)
    assert (finding.state, finding.value is None) == (state, state == "not measured")


@pytest.mark.parametrize(
    ("target", "values", "lacking"),
    [
        (RIGHT, {"done_total": 1, "read_total": 1}, "wrong_total"),
        (RIGHT, {"wrong_total": 0, "done_total": 1}, "read_total"),
        (BUSY, {"shed_total": 0}, "done_total"),
        (BUSY, {"done_total": 1000}, "shed_total"),
        (UP, {}, "up"),
    ],
)
def test_what_is_not_there_is_not_measured_and_never_met(
    target: dict[str, Any], values: dict[str, float], lacking: str
) -> None:
    finding = found(target, **values)
    assert (finding.state, finding.value) == ("not measured", None)
    assert finding.reason == f"there is no {lacking} here"


def test_what_has_no_source_says_why() -> None:
    finding = found(NOBODY | {"because": "nobody counts"})
    assert (finding.state, finding.reason, finding.fails) == (
        "not measured",
        "nobody counts",
        False,
    )


def test_to_miss_a_goal_is_no_failure() -> None:
    assert found(UP, up=0.1).fails
    assert not found(UP | {"goal": True}, up=0.1).fails


def test_labels_are_matched_as_a_whole_and_those_that_are_missing_are_empty() -> None:
    one = Selector("m", labels={"status": "5.."}, without={"path": "/mcp|/health"})
    assert one.matches({"status": "503"})
    assert one.matches({"status": "500", "path": "/mcp/x"})
    assert not one.matches({"status": "500", "path": "/health"})
    assert not one.matches({"status": "5000"})
    assert not one.matches({"path": "/x"})


# --- what a file can say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (UP | {"at_most": 1}, "up: say at_most or at_least, one of both"),
        ({k: v for k, v in UP.items() if k != "at_least"}, "up: say at_most or at_least"),
        (FAST | {"at_most": 1, "quantile": 95}, "fast: quantile: must be between 0 and 1"),
        (FAST | {"at_most": 1, "quantile": 1}, "fast: quantile: must be between 0 and 1"),
        (UP | {"of": {"metric": "a b"}}, "metric: 'a b' cannot be the name of one"),
        (
            UP | {"of": {"metric": "m", "labels": {"a-b": "x"}}},
            "'a-b' cannot be the name of a label",
        ),
        (UP | {"of": {"metric": "m", "without": {"a": "("}}}, "m: a: '(': missing )"),
        (UP | {"source": "gaugee"}, "Invalid value 'gaugee'"),
        (UP | {"atmost": 1}, "unknown field `atmost`"),
        (NOBODY, "missing required field `because`"),
    ],
)
def test_what_a_file_must_not_say_is_named(
    target: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text(yaml.safe_dump({"error_rate": [target]}), "utf-8")
    with pytest.raises(Rejected) as refused:
        load_objectives(file)
    assert problem in refused.value.reason
    assert "$.error_rate[0]" in refused.value.reason
    assert str(file) in refused.value.reason


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"- [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"speed: []", "unknown field `speed`"),
        (b"[1]", "Expected `object`, got `array`"),
    ],
)
def test_what_is_no_file_of_objectives_is_refused(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "slo.yaml"
    file.write_bytes(content)
    with pytest.raises(Rejected, match=problem):
        load_objectives(file)
    with pytest.raises(Rejected, match="cannot be read"):
        load_objectives(tmp_path / "absent.yaml")


# --- the platform's own --------------------------------------------------------------------------

OWN = load_objectives(packaged_objectives())
TARGETS = {
    group: list(getattr(OWN, group))
    for group in ("response_time", "throughput", "error_rate", "satisfaction", "business")
}


def test_the_platform_has_targets_of_every_kind_with_names_of_their_own() -> None:
    assert all(TARGETS.values())
    names = [one.name for one in itertools.chain(*TARGETS.values())]
    assert len(names) == len(set(names))


def test_every_metric_of_a_target_is_one_that_processes_have() -> None:
    ours = {one.name + ("_total" if isinstance(one, Count) else "") for one in MEASURES}
    # Prometheus' own.
    ours.add("up")
    named = set(re.findall(r"metric: (\w+)", packaged_objectives().read_text("utf-8")))
    assert len(named) > 5
    assert {name.removesuffix("_count") for name in named} <= ours


def test_what_is_promised_is_not_changed_in_passing() -> None:
    bounds = {
        one.name: one.at_most if one.at_least is None else one.at_least
        for one in itertools.chain(*TARGETS.values())
        if not isinstance(one, Unmeasured) and not one.goal
    }
    assert bounds == {
        "gateway_p50": 0.1,
        "gateway_p95": 0.2,
        "gateway_p99": 0.5,
        "orchestrator_p50": 0.5,
        "orchestrator_p95": 1.0,
        "orchestrator_p99": 2.0,
        "messages_p95": 0.05,
        "messages_p99": 0.1,
        "gateway_requests": 1000,
        "messages": 1000,
        "api_errors": 0.001,
        "database_errors": 0.0001,
        "availability": 0.999,
        "chat_completion": 0.95,
    }


def test_business_that_nothing_measures_is_never_called_met() -> None:
    for one in TARGETS["business"]:
        assert isinstance(one, Unmeasured)
    findings = [one for one in evaluate(OWN, Kept()) if one.group == "business"]
    assert {one.state for one in findings} == {"not measured"}
