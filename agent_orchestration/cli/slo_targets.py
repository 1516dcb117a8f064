"""Service level objectives: what a file of them can say, and which are met by what was measured."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import yaml

from agent_orchestration.core.errors import Rejected

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Bucket = tuple[float, float]
"""An upper bound, and how many values are at most that much."""
State = Literal["met", "missed", "not measured"]


class Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The series of a metric whose labels match all of `labels` and none of `without`: regular
    expressions for whole values, by the label's name."""

    metric: str
    labels: dict[str, str] = {}
    without: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raises `ValueError` for what names no metric or label, and is no regular expression."""
        if not _METRIC.fullmatch(self.metric):
            raise ValueError(f"metric: {self.metric!r} cannot be the name of one")
        for name, pattern in (*self.labels.items(), *self.without.items()):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{self.metric}: {name!r} cannot be the name of a label")
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{self.metric}: {name}: {pattern!r}: {error}") from None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant; one that it has not is empty."""

        def fits(name: str, pattern: str) -> bool:
            return re.fullmatch(pattern, labels.get(name, "")) is not None

        return all(fits(*one) for one in self.labels.items()) and not any(
            fits(*one) for one in self.without.items()
        )


class Measured(Protocol):
    """What was measured over some time; None where no metric has that name."""

    def increase(self, selector: Selector) -> float | None:
        """By how much counters grew, together."""
        ...

    def rate(self, selector: Selector) -> float | None:
        """The same per second."""
        ...

    def mean(self, selector: Selector) -> float | None:
        """The mean of gauges."""
        ...

    def buckets(self, selector: Selector) -> Sequence[Bucket]:
        """The buckets of histograms, together, by their bounds; none where there is no such."""
        ...


class NotMeasured(Exception):
    """Nothing can be said of a target; the message says why."""


class Target(msgspec.Struct, frozen=True, kw_only=True, tag_field="source"):
    """What a value should be. A `goal` is what one would like: to miss it is no failure."""

    name: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    goal: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.name}: say at_most or at_least, one of both")

    def holds(self, value: float) -> bool:
        """Whether the value is as it should be. The bound itself is, as buckets contain theirs."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


class Quantile(Target, frozen=True, kw_only=True, tag="histogram", forbid_unknown_fields=True):
    """What the share `quantile` of all values of a histogram does not exceed."""

    of: Selector
    quantile: float

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        Target.__post_init__(self)
        if not 0 < self.quantile < 1:
            raise ValueError(f"{self.name}: quantile: must be between 0 and 1, such as 0.95")

    def value(self, measured: Measured) -> float:
        """In `unit`. Raises `NotMeasured`."""
        return histogram_quantile(self.quantile, measured.buckets(self.of))


class Share(Target, frozen=True, kw_only=True, tag="share", forbid_unknown_fields=True):
    """How much of what counters count another one counts."""

    of: Selector
    among: tuple[Selector, ...]

    def value(self, measured: Measured) -> float:
        """In `unit`. Raises `NotMeasured`."""
        part = _known(self.of, measured.increase(self.of))
        whole = sum(_known(one, measured.increase(one)) for one in self.among)
        if not whole:
            raise NotMeasured("nothing happened")
        return part / whole


class Rate(Target, frozen=True, kw_only=True, tag="rate", forbid_unknown_fields=True):
    """How fast a counter grows. `saturation` counts what was asked for and not done: without any, a
    rate that is too low says only that not more was asked for."""

    of: Selector
    saturation: Selector

    def value(self, measured: Measured) -> float:
        """In `unit`. Raises `NotMeasured`."""
        rate = _known(self.of, measured.rate(self.of))
        refused = _known(self.saturation, measured.increase(self.saturation))
        if not self.holds(rate) and not refused:
            raise NotMeasured(f"not more was asked for than {rate:.4g} {self.unit}")
        return rate


class Gauge(Target, frozen=True, kw_only=True, tag="gauge", forbid_unknown_fields=True):
    """The mean of a gauge."""

    of: Selector

    def value(self, measured: Measured) -> float:
        """In `unit`. Raises `NotMeasured`."""
        return _known(self.of, measured.mean(self.of))


class Unmeasured(Target, frozen=True, kw_only=True, tag="none yet", forbid_unknown_fields=True):
    """What nothing measures."""

    because: str

    def value(self, measured: Measured) -> float:
        """Raises `NotMeasured`."""
        del measured
        raise NotMeasured(self.because)


AnyTarget = Quantile | Share | Rate | Gauge | Unmeasured


class Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The targets by what they are about."""

    response_time: tuple[AnyTarget, ...] = ()
    throughput: tuple[AnyTarget, ...] = ()
    error_rate: tuple[AnyTarget, ...] = ()
    satisfaction: tuple[AnyTarget, ...] = ()
    business: tuple[AnyTarget, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """A target, and how it is with it; `value` is in `unit`, `reason` says why there is none."""

    group: str
    name: str
    unit: str
    at_most: float | None
    at_least: float | None
    goal: bool
    value: float | None
    state: State
    reason: str

    @property
    def fails(self) -> bool:
        """Whether an objective is missed."""
        return self.state == "missed" and not self.goal


def load_objectives(file: Path) -> Objectives:
    """The objectives in a file. Raises `Rejected`, which names the place in it."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_bytes()) or {}, type=Objectives)
    except OSError as error:
        raise _invalid(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"{file}: is not YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise _invalid(f"{file}: {error}; see docs/slo.md for what can stand here") from None


def evaluate(objectives: Objectives, measured: Measured) -> Iterator[Finding]:
    """What is found of each target, in the order of the file."""
    for group in msgspec.structs.fields(Objectives):
        targets: tuple[AnyTarget, ...] = getattr(objectives, group.name)
        for target in targets:
            yield _found(group.name, target, measured)


def _found(group: str, target: AnyTarget, measured: Measured) -> Finding:
    value: float | None = None
    state: State = "not measured"
    reason = ""
    try:
        value = _number(target.value(measured))
        state = "met" if target.holds(value) else "missed"
    except NotMeasured as error:
        reason = str(error)
    return Finding(
        group,
        target.name,
        target.unit,
        target.at_most,
        target.at_least,
        target.goal,
        value,
        state,
        reason,
    )


def histogram_quantile(quantile: float, buckets: Sequence[Bucket]) -> float:
    """The quantile as Prometheus' `histogram_quantile` has it: values are taken to be spread evenly
    in the bucket that it falls into, and the first bucket to begin at 0; the highest finite bound
    where it lies beyond.

    Of N values the one in question is number r = quantile * N. The bucket (l, u] has the n values
    after the first c, with c < r <= c + n: the answer is l + (u - l) * (r - c) / n. Raises
    `NotMeasured` where there are no values.
    """
    if len(buckets) < 2 or not buckets[-1][1]:
        raise NotMeasured("nothing happened")
    rank = quantile * buckets[-1][1]
    first = (min(0.0, buckets[0][0]), 0.0)
    for (lower, before), (upper, until) in pairwise([first, *buckets[:-1]]):
        if until >= rank:
            return lower + (upper - lower) * (rank - before) / (until - before)
    return buckets[-2][0]


def _known(selector: Selector, value: float | None) -> float:
    if value is None:
        raise NotMeasured(f"there is no {selector.metric} here")
    return value


def _number(value: float) -> float:
    # A gauge may say that it is none.
    if not math.isfinite(value):
        raise NotMeasured(f"what is measured is {value}")
    return value


def _invalid(reason: str) -> Rejected:
    return Rejected("invalid_objectives", reason, field="file")
