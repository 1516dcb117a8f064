"""What a process counts of its own work.

Plain numbers, which cost next to nothing and need no library to be imported; `metrics.py` makes
Prometheus' metrics of them when somebody asks. A measure has at most `MOST` series, so that no
caller can fill the memory with names: what comes beyond is counted as "other".
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

MOST = 1000
MOST_TENANTS = 20
OTHER = "other"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of durations."""
LONG_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of durations of what others do for us."""
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
    """What only grows. Without labels it is there from the start, at 0; so are the series of its
    one label that are `known`, for Prometheus sees no growth in what was not there before."""

    def __init__(
        self, name: str, meaning: str, labels: Labels = (), known: Sequence[str] = ()
    ) -> None:
        super().__init__(name, meaning, labels)
        self.values: dict[Labels, float] = {(one,): 0.0 for one in known} if labels else {(): 0.0}

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
        self._followed: dict[Labels, Callable[[], float]] = {}

    def set(self, value: float, *labels: str) -> None:
        """It is that much now."""
        self.values[labels] = value

    def follow(self, read: Callable[[], float], *labels: str) -> None:
        """It is what `read` says whenever somebody asks, from whichever thread."""
        self._followed[labels] = read

    def replace(self, values: Mapping[Labels, float]) -> None:
        """It is that now, and nothing else is known."""
        self.values = dict(values)

    def drop(self, *labels: str) -> None:
        """Nobody here knows any more."""
        self.values.pop(labels, None)
        self._followed.pop(labels, None)

    @contextmanager
    def raised(self, *labels: str) -> Generator[None]:
        """One more meanwhile."""
        self.values[labels] = self.values.get(labels, 0.0) + 1
        try:
            yield
        finally:
            self.values[labels] -= 1

    def read(self) -> dict[Labels, float]:
        """All of it, as it is now."""
        return self.values | {labels: read() for labels, read in list(self._followed.items())}


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


class NamedTenants:
    """The tenants that counters name: the first of a process. What was counted cannot move from
    one series to another, so a tenant that is not named at first never is."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def label(self, tenant: str) -> str:
        """The tenant, or "other"."""
        if tenant not in self._names:
            if len(self._names) >= self._most:
                return OTHER
            self._names.add(tenant)
        return tenant


NAMED_TENANTS = NamedTenants(MOST_TENANTS)

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
DEAD_LETTERS = Count(
    "dead_letters",
    "Records that nobody could read, put aside",
    ("topic",),
    known=("commands", "events"),
)
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

FOLD_LAG_EVENTS = Gauge(
    "fold_lag_events",
    "Events in the log that the graph has not, as far as is known",
    ("partition",),
)
FOLD_LAG_SECONDS = Gauge(
    "fold_lag_seconds",
    "How long ago the log took the oldest event that the graph has not; 0 without any",
    ("partition",),
)
CHECKPOINT = Gauge(
    "checkpoint_position", "Offset of the next event that the graph needs", ("partition",)
)
ARCHIVE_LAG_EVENTS = Gauge(
    "archive_lag_events", "Events in the log that the archive has not", ("partition",)
)
ARCHIVE_LAG_SECONDS = Gauge(
    "archive_lag_seconds",
    "How long ago the log took the oldest event that the archive has not; 0 without any",
    ("partition",),
)
DIVERGENCES = Count(
    "divergences", "Differences found when log and graph were compared, each time they were"
)
TASKS_BY_STATUS = Gauge(
    "tasks_by_status", "Tasks that are not finished, plans too", ("tenant", "status")
)
AGENTS_BY_STATUS = Gauge("agents_by_status", "Agents that are not retired", ("tenant", "status"))
TEAMS_BY_STATUS = Gauge("teams_by_status", "Teams that are not disbanded", ("tenant", "status"))
OLDEST_READY = Gauge(
    "oldest_ready_task_age_seconds",
    "For how long the task is ready that waits for longest; 0 without any",
    ("tenant",),
)
UNSTAFFED = Gauge("unstaffed_tasks", "Ready tasks that require what no agent can do", ("tenant",))
TENANT_STATES = Gauge("tenant_states", "Tenants that are in memory to be decided for")
STATE_ENTITIES = Gauge("tenant_state_entities", "What they have there, by its kind", ("kind",))
QUARANTINED = Gauge(
    "quarantined_tenants", "Tenants that are set aside in this process's partitions"
)
COMMANDS_SHED = Count(
    "commands_shed",
    "Commands that could not be taken or answered for a while, by the error's code",
    ("code",),
    known=("busy", "partition_stopped", "outcome_unknown"),
)
REQUESTS_IN_FLIGHT = Gauge("requests_in_flight", "Requests over HTTP under way, open streams too")
MODEL_CALLS = Count(
    "model_calls",
    "Calls of language models, by how they ended: answered, or the code of the error",
    ("model", "outcome"),
)
MODEL_SECONDS = Distribution(
    "model_call_duration_seconds",
    "How long calls of language models took, repeated attempts included",
    ("model",),
    bounds=LONG_SECONDS,
)
MODEL_TOKENS = Count(
    "model_tokens",
    "Tokens of settled calls of language models: input without what was cached, cached, output",
    ("tenant", "model", "kind"),
)
MODEL_COST = Count(
    "model_cost_usd",
    "What settled calls of language models cost, in the currency of the prices",
    ("tenant", "model"),
)
GRAPH_CONNECTIONS = Gauge(
    "graph_connections", "Connections to Neo4j that are used, and how many more may be", ("state",)
)
LOOP_DELAY = Distribution(
    "event_loop_delay_seconds",
    "How late the process came to what was due, looked at twice a second",
)

MEASURES = tuple(
    one for one in list(globals().values()) if isinstance(one, Count | Gauge | Distribution)
)
"""All of them."""
