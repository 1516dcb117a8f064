"""Questions about windows, and what is answered."""

from collections.abc import Mapping
from typing import Any

from agent_orchestration.analytics.buckets import percentile
from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.analytics.windows import ALL, LENGTH_MS, Counted, Window
from agent_orchestration.core.analytics import WindowsAsked
from agent_orchestration.core.errors import Rejected

USUAL = 60
"""So many windows are answered where nothing says since when."""
MOST = 1500
PERCENTS = (50, 95, 99)


def answered(history: TenantHistory | None, asked: WindowsAsked) -> dict[str, Any]:
    """See `core.analytics.Analytics`; without a history nothing was counted yet."""
    first, end = _range(0 if history is None else history.windows.newest, asked)
    name = ALL if asked.capability is None else asked.capability
    total, windows = Counted(), list[dict[str, Any]]()
    of_size: Mapping[int, Window] = {} if history is None else history.windows.of(asked.size)
    for start in range(first, end, LENGTH_MS[asked.size]):
        if (counted := of_size.get(start, {}).get(name)) is not None:
            total.merge(counted)
            windows.append({"start": start, **_shown(counted)})
    seq = 0 if history is None else history.state.seq
    return {"seq": seq, "windows": windows, "total": {"start": first, **_shown(total)}}


def _range(newest: int, asked: WindowsAsked) -> tuple[int, int]:
    """The start of the first window, and where the last one has begun. Raises `Rejected`."""
    length = LENGTH_MS[asked.size]
    end = newest + 1 if asked.until is None else asked.until
    if asked.since is None:
        return _start(end - 1, length) - (USUAL - 1) * length, end
    first = -(-asked.since // length) * length
    if asked.until is not None and asked.until < asked.since:
        raise Rejected("invalid_argument", "until: is before since; swap them", field="until")
    if (end - first) > MOST * length:
        reason = f"since: at most {MOST} windows are answered; ask for fewer, or for larger ones"
        raise Rejected("invalid_argument", reason, field="since")
    return first, end


def _start(at: int, length: int) -> int:
    return at - at % length


def _shown(counted: Counted) -> dict[str, Any]:
    return {
        "sums": dict(counted.sums),
        "times": {
            measure: {
                "count": sum(counts.values()),
                **{f"p{one}": percentile(counts, one) for one in PERCENTS},
            }
            for measure, counts in counted.times.items()
        },
    }
