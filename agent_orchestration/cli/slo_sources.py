"""Where values for service level objectives come from: a Prometheus, or one process's metrics."""

import json
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from agent_orchestration.cli.slo_targets import Bucket, Selector
from agent_orchestration.core.errors import Rejected, Unavailable

ANSWER_SECONDS = 30.0
#: What the samples of a kind of metric add to its name.
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


@contextmanager
def asked(url: str, window: str) -> "Generator[FromPrometheus]":
    """The Prometheus at `url`, about the last `window`. Raises `Rejected` for an address that is
    none."""
    try:
        # A proxy named in the environment is not meant for a server nearby.
        client = httpx2.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False)
    except httpx2.InvalidURL as error:
        raise _refused(f"{url}: {error}; give an address such as http://localhost:9090") from None
    with client:
        yield FromPrometheus(client, window)


class FromPrometheus:
    """What the Prometheus that `client` asks has kept of the last `window`, such as 5m. Raises
    `Unavailable` where it does not answer, and `Rejected` where it refuses a question."""

    def __init__(self, client: httpx2.Client, window: str) -> None:
        self._client = client
        self._window = window

    def increase(self, selector: Selector) -> float | None:
        """See `Measured`."""
        return self._of_counters("increase", selector)

    def rate(self, selector: Selector) -> float | None:
        """See `Measured`."""
        return self._of_counters("rate", selector)

    def mean(self, selector: Selector) -> float | None:
        """See `Measured`."""
        found = self._values(f"avg(avg_over_time({_series(selector)}[{self._window}]))")
        return found[0][1] if found else None

    def buckets(self, selector: Selector) -> Sequence[Bucket]:
        """See `Measured`."""
        series = _series(selector, "_bucket")
        found = self._values(f"sum by (le) (increase({series}[{self._window}]))")
        return sorted((float(labels["le"]), value) for labels, value in found)

    def _of_counters(self, function: str, selector: Selector) -> float | None:
        found = self._values(f"sum({function}({_series(selector)}[{self._window}]))")
        if found:
            return found[0][1]
        # Nothing was counted with these labels, or nobody counts that.
        return 0.0 if self._is_known(selector.metric) else None

    def _is_known(self, metric: str) -> bool:
        names = (metric, *(metric.removesuffix(one) for s in _SUFFIXES.values() for one in s))
        return any(self._get("metadata", metric=name) for name in dict.fromkeys(names))

    def _values(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        found = self._get("query", query=expression)
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    def _get(self, path: str, **parameters: str) -> Any:
        try:
            answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        except httpx2.RequestError as error:
            reason = f"--prometheus: {self._client.base_url} does not answer: {error}"
            raise Unavailable("no_prometheus", reason, field="prometheus") from None
        except ValueError:
            answer = None
        told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        if "status" not in told:
            raise _refused(f"{self._client.base_url} is no Prometheus; give the address of one")
        if told["status"] != "success":
            raise _refused(f"it does not answer {parameters}: {told.get('error')}")
        return told["data"]


class FromProcess:
    """What a process has counted since it began, from its metrics in Prometheus' text format."""

    def __init__(self, page: str) -> None:
        self._names: set[str] = set()
        self._samples: list[tuple[str, Mapping[str, str], float]] = []
        for family in text_string_to_metric_families(page):
            self._names |= {family.name + end for end in _SUFFIXES.get(family.type, ("",))}
            self._samples += [(one.name, one.labels, one.value) for one in family.samples]

    def increase(self, selector: Selector) -> float | None:
        """See `Measured`."""
        if selector.metric not in self._names:
            return None
        return sum(value for _, value in self._matching(selector))

    def rate(self, selector: Selector) -> float | None:
        """See `Measured`."""
        began = self.mean(Selector("process_start_time_seconds"))
        increase = self.increase(selector)
        return None if began is None or increase is None else increase / (time.time() - began)

    def mean(self, selector: Selector) -> float | None:
        """See `Measured`."""
        found = [value for _, value in self._matching(selector)]
        return sum(found) / len(found) if found else None

    def buckets(self, selector: Selector) -> Sequence[Bucket]:
        """See `Measured`."""
        counts: defaultdict[float, float] = defaultdict(float)
        for labels, value in self._matching(selector, "_bucket"):
            counts[float(labels["le"])] += value
        return sorted(counts.items())

    def _matching(
        self, selector: Selector, suffix: str = ""
    ) -> Iterator[tuple[Mapping[str, str], float]]:
        for name, labels, value in self._samples:
            if name == selector.metric + suffix and selector.matches(labels):
                yield labels, value


def _series(selector: Selector, suffix: str = "") -> str:
    """The selector as Prometheus writes it."""
    matchers = [
        f"{name}{sign}{json.dumps(pattern, ensure_ascii=False)}"
        for sign, patterns in (("=~", selector.labels), ("!~", selector.without))
        for name, pattern in patterns.items()
    ]
    return f"{selector.metric}{suffix}{{{','.join(matchers)}}}"


def _refused(reason: str) -> Rejected:
    return Rejected("bad_prometheus", f"--prometheus: {reason}", field="prometheus")
