"""What tools answer about windows of time."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.tool import Output

Measure = Literal["agents", "teams", "tasks", "tokens", "times"]
SUMS: dict[Measure, tuple[str, ...]] = {
    "agents": ("agents_registered",),
    "teams": ("teams_formed", "teams_refused"),
    "tasks": ("tasks_created", "tasks_completed", "tasks_failed", "tasks_cancelled"),
    "tokens": ("calls", "input_tokens", "output_tokens", "cost_micros"),
    "times": (),
}
_TIMES = {"queue": "queue_ms", "run": "run_ms"}


class Durations(BaseModel):
    """How long something took, in seconds; percentiles are at most one sixteenth too high."""

    count: int
    p50: float
    p95: float
    p99: float


class Counted(BaseModel):
    """What was counted; only what was asked for is there."""

    agents_registered: int | None = None
    teams_formed: int | None = None
    teams_refused: int | None = Field(default=None, description="calls of form_team refused")
    team_success: float | None = Field(default=None, description="formed / (formed + refused)")
    tasks_created: int | None = None
    tasks_completed: int | None = None
    tasks_failed: int | None = None
    tasks_cancelled: int | None = None
    task_completion: float | None = Field(default=None, description="completed / all that ended")
    calls: int | None = Field(default=None, description="calls of models that were settled")
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_micros: int | None = None
    queue: Durations | None = Field(default=None, description="from ready to claimed")
    run: Durations | None = Field(default=None, description="from claimed to completed")


class CountedWindow(Counted):
    """What was counted in a window."""

    start: str = Field(description="ISO 8601")


class AnalyticsAnswer(Output):
    """The windows in which something was counted, the oldest first."""

    windows: list[CountedWindow]
    total: Counted = Field(description="all of them together")
    seq: int = Field(description="how many events of the history are counted")


def analytics_answer(
    answer: dict[str, Any], measure: Measure | None, capability: str | None
) -> AnalyticsAnswer:
    """What `core.analytics.Analytics` answered about the capability, as it is shown."""

    def counted(window: dict[str, Any]) -> dict[str, Any]:
        shown = _counted(window, measure)
        if capability is not None:
            # What a refused team was to cover is not known.
            shown |= dict.fromkeys(("teams_refused", "team_success"))
        return shown

    return AnalyticsAnswer(
        windows=[
            CountedWindow(start=to_datetime(window["start"]).isoformat(), **counted(window))
            for window in answer["windows"]
        ],
        total=Counted(**counted(answer["total"])),
        seq=answer["seq"],
    )


def _counted(window: dict[str, Any], measure: Measure | None) -> dict[str, Any]:
    sums: dict[str, int] = window["sums"]
    names = SUMS.values() if measure is None else [SUMS[measure]]
    shown: dict[str, Any] = {name: sums.get(name, 0) for one in names for name in one}
    if "teams_formed" in shown:
        formed = shown["teams_formed"]
        shown["team_success"] = _share(formed, formed + shown["teams_refused"])
    if "tasks_created" in shown:
        completed = shown["tasks_completed"]
        ended = completed + shown["tasks_failed"] + shown["tasks_cancelled"]
        shown["task_completion"] = _share(completed, ended)
    if measure in (None, "times"):
        shown |= {name: _durations(window["times"].get(key)) for name, key in _TIMES.items()}
    return shown


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _durations(found: dict[str, int] | None) -> Durations | None:
    if found is None:
        return None
    seconds = {name: found[name] / 1000 for name in ("p50", "p95", "p99")}
    return Durations(count=found["count"], **seconds)
