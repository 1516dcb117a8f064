"""What a process counts of its own work.

Plain numbers, which cost next to nothing and need no library to be imported; `metrics.py` makes
Prometheus' metrics of them when somebody asks. A measure has at most `MOST` series, so that no
caller can fill the memory with names: what comes beyond is counted as "other".
"""

import time
from bisect import bisect_left
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

MOST = 1000
OTHER = "other"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of durations."""
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Upper bounds of sizes of batches."""

Labels = tuple[str, ...]


class Measure:
    """A name, as Prometheus has it, what is measured, and the names of its labels."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels

    def bounded(self, known: Mapping[Labels, Any], values: Labels) -> Labels:
        """The series that these values of the labels are counted in."""
        if values in known or len(known) < MOST:
            return values
        return (OTHER,) * len(self.labels)


class Count(Measure):
    """What only grows. Without labels it is there from the start, at 0."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        self.values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, *labels: str, by: float = 1.0) -> None:
        """So much more."""
        values = self.values
        series = self.bounded(values, labels)
        values[series] = values.get(series, 0.0) + by


class Gauge(Measure):
    """What goes up and down."""

    def __init__(self, name: str, meaning: str, labels: Labels = ()) -> None:
        super().__init__(name, meaning, labels)
        self.values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        """It is that much now."""
        self.values[labels] = value

    def drop(self, *labels: str) -> None:
        """Nobody here knows any more."""
        self.values.pop(labels, None)


class Series:
    """How many values were at most each bound, or beyond all of them, and their sum."""

    def __init__(self, bounds: int) -> None:
        self.counts = [0] * (bounds + 1)
        self.sum = 0.0


class Distribution(Measure):
    """How values are spread."""

    def __init__(
        self, name: str, meaning: str, labels: Labels = (), bounds: Sequence[float] = SECONDS
    ) -> None:
        super().__init__(name, meaning, labels)
        self.bounds = tuple(bounds)
        self.values: dict[Labels, Series] = {}
        if not labels:
            self.values[()] = Series(len(self.bounds))

    def observe(self, value: float, *labels: str) -> None:
        """One more value."""
        series = self.bounded(self.values, labels)
        found = self.values.get(series)
        if found is None:
            found = self.values[series] = Series(len(self.bounds))
        found.counts[bisect_left(self.bounds, value)] += 1
        found.sum += value

    @contextmanager
    def timed(self, *labels: str) -> Generator[None]:
        """How many seconds it takes, whatever its end."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - began, *labels)


TOOL_CALLS = Count(
    "tool_calls", "Calls of tools, by how they ended: answered, or the error", ("tool", "outcome")
)
TOOL_SECONDS = Distribution(
    "tool_call_duration_seconds", "How long calls of tools took, waiting included", ("tool",)
)
AGENT_INTERACTIONS = Count("agent_interactions", "Calls of tools that name an agent", ("agent_id",))
HTTP_REQUESTS = Count("http_requests", "Requests over HTTP", ("service", "status"))
HTTP_SECONDS = Distribution(
    "http_request_duration_seconds", "How long requests over HTTP took", ("endpoint",)
)
AUTH_FAILURES = Count("auth_failures", "Requests refused for who asks", ("code",))
COMMANDS = Count("commands", "Commands decided here", ("command", "outcome"))
REJECTIONS = Count("rejections", "Commands refused here, by the error's code", ("code",))
DECIDE_SECONDS = Distribution(
    "decide_duration_seconds", "How long a batch of commands took, until its events are in the log"
)
DECIDE_BATCH = Distribution("decide_batch_commands", "Commands in a batch", bounds=SIZES)
EVENTS = Count("events", "Events brought into the graph by this process", ("type",))
EVENT_LATENCY = Distribution(
    "event_processing_latency_seconds", "From when the log has an event until the graph has it"
)
FOLD_SECONDS = Distribution(
    "fold_duration_seconds", "How long the graph took to take a batch of events"
)
FOLD_BATCH = Distribution("fold_batch_events", "Events in a batch", bounds=SIZES)
QUERY_SECONDS = Distribution(
    "graph_query_duration_seconds", "How long named questions took the graph", ("query",)
)
CONNECTION_FAILURES = Count(
    "neo4j_connection_failures", "Times that Neo4j could not be reached, or did not finish"
)
CONSUMER_LAG = Gauge(
    "kafka_consumergroup_lag",
    "Records that the processor of a partition has still to take, also on the embedded log",
    ("consumergroup", "topic", "partition"),
)
DEAD_LETTERS = Count("dead_letters", "Records that nobody could read, put aside", ("topic",))
QUARANTINES = Count("tenants_quarantined", "Times that a tenant was set aside")
ANALYTICS_MINUTE = Gauge(
    "analytics_last_minute",
    "What was counted in the last closed minute, by the time of the events",
    ("tenant", "measure"),
)
ANALYTICS_SECONDS = Gauge(
    "analytics_last_minute_seconds",
    "Percentiles of how long tasks were in the queue, and ran, in the last closed minute",
    ("tenant", "measure", "quantile"),
)
ANALYTICS_HELD = Gauge(
    "analytics_held_events", "Events of the feeds that wait for one before them to be counted"
)

MEASURES: tuple[Count | Gauge | Distribution, ...] = (
    TOOL_CALLS,
    TOOL_SECONDS,
    AGENT_INTERACTIONS,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    AUTH_FAILURES,
    COMMANDS,
    REJECTIONS,
    DECIDE_SECONDS,
    DECIDE_BATCH,
    EVENTS,
    EVENT_LATENCY,
    FOLD_SECONDS,
    FOLD_BATCH,
    QUERY_SECONDS,
    CONNECTION_FAILURES,
    CONSUMER_LAG,
    DEAD_LETTERS,
    QUARANTINES,
    ANALYTICS_MINUTE,
    ANALYTICS_SECONDS,
    ANALYTICS_HELD,
)
"""All of them."""
