"""The last closed minute, for Prometheus."""

from collections.abc import Mapping

from agent_orchestration import measures
from agent_orchestration.analytics.buckets import percentile
from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.analytics.measuring import SUMS
from agent_orchestration.analytics.questions import PERCENTS
from agent_orchestration.analytics.windows import ALL, LENGTH_MS, TIMES, Counted

MOST_TENANTS = 20
"""So many tenants, the busiest, have gauges of their own; the rest is `other` together."""


def tell(histories: Mapping[str, TenantHistory], now: int) -> None:
    """Set the gauges to the minute before the one that is under way at `now`, in milliseconds."""
    length = LENGTH_MS["minute"]
    start = now - now % length - length
    found: list[tuple[int, str, Counted]] = []
    for tenant, history in histories.items():
        window = history.windows.get(("minute", start))
        if window is not None and (counted := window.get(ALL)) is not None:
            found.append((sum(counted.sums.values()), tenant, counted))
    found.sort(reverse=True, key=lambda one: one[:2])
    shown = {tenant: counted for _, tenant, counted in found[:MOST_TENANTS]}
    if rest := found[MOST_TENANTS:]:
        other = shown[measures.OTHER] = Counted()
        for _, _, counted in rest:
            other.merge(counted)
    _set(shown)


def _set(shown: Mapping[str, Counted]) -> None:
    sums: dict[measures.Labels, float] = {}
    seconds: dict[measures.Labels, float] = {}
    for tenant, counted in shown.items():
        for measure in SUMS:
            sums[tenant, measure] = float(counted.sums.get(measure, 0))
        for measure in TIMES:
            for percent in PERCENTS:
                if (value := percentile(counted.times.get(measure, {}), percent)) is not None:
                    name = measure.removesuffix("_ms")
                    seconds[tenant, name, f"0.{percent}"] = value / 1000
    # A minute in which nothing happened has no series, rather than those of the one before.
    measures.ANALYTICS_MINUTE.values = sums
    measures.ANALYTICS_SECONDS.values = seconds
