"""Tools that ask about everything at once."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from agent_orchestration.core.analytics import WindowSize
from agent_orchestration.core.entities import to_milliseconds
from agent_orchestration.core.folding import RULES
from agent_orchestration.core.tool import NAMED_QUERY, Gateway, Output, Role, Rows, tool
from agent_orchestration.core.types import (
    Filter,
    Id,
    Instant,
    PageLimit,
    Text,
    json_text,
    json_value,
)
from agent_orchestration.domain.insight.views import AnalyticsAnswer, Measure, analytics_answer

Seq = Annotated[int, Field(ge=1, lt=2**63)]
QueryName = Annotated[
    str, Field(description="one of the named questions", json_schema_extra={NAMED_QUERY: True})
]


class HistoryEvent(BaseModel):
    """A fact of the history."""

    seq: int
    type: str
    at: str = Field(description="ISO 8601")
    actor: str
    data: dict[str, Any] = Field(description="what the event says, shortened")


class History(Output):
    """A page of history."""

    events: list[HistoryEvent]
    next_after: int = Field(description="pass as `after` for the next page")


class Overview(Output):
    """The tenant in numbers."""

    seq: int = Field(description="how many events its history has")
    agents: dict[str, int] = Field(description="status -> how many")
    tasks: dict[str, int] = Field(description="status -> how many")
    unstaffed: list[dict[str, Any]] = Field(description="capabilities that open tasks lack")
    rules: int | None = Field(
        default=None, description="version of the rules in force; absent before the first event"
    )
    newest_rules: int = Field(description="the newest version here, which raise_rules raises to")


class Answer(Output):
    """A table."""

    columns: list[str]
    rows: list[dict[str, Any]]
    seq: int


class GraphSchema(Output):
    """What is in the graph."""

    nodes: list[dict[str, Any]]
    relationships: list[dict[str, Any]]
    named_queries: list[dict[str, Any]]
    dialect: str


@tool(
    title="Get the history",
    role=Role.VIEWER,
    toolsets=("inspect",),
    read_only=True,
)
async def get_history(
    gateway: Gateway,
    after: Annotated[int, Field(ge=0, lt=2**63, description="only events after this seq")] = 0,
    since: Annotated[
        Instant | None, Field(description="only events at or after it, e.g. 2026-01-31T12:00:00Z")
    ] = None,
    task_id: Annotated[Id | None, Field(description="only about this task")] = None,
    agent_id: Annotated[Id | None, Field(description="only about this agent")] = None,
    type: Annotated[Filter | None, Field(description="e.g. TaskCompleted")] = None,
    actor: Annotated[Filter | None, Field(description="only what this principal caused")] = None,
    limit: PageLimit = 100,
    wait_seconds: Annotated[
        float, Field(ge=0, le=50, description="wait so long for something new")
    ] = 0.0,
) -> History:
    """What happened, the oldest first: every event with its time, author and content."""
    remaining = wait_seconds
    filters: dict[str, Any] = {"type": type, "actor": actor, "limit": limit}
    while True:
        rows = await _history(gateway, after, since, task_id, agent_id, filters)
        if rows or remaining <= 0:
            break
        remaining = await gateway.changed(rows.seq, remaining)
    events = [
        HistoryEvent(
            seq=row["seq"],
            type=row["type"],
            at=row["at"].isoformat(),
            actor=row["actor"],
            data=json_value(row["data"]),
        )
        for row in rows
    ]
    return History(
        events=events,
        next_after=events[-1].seq if events else after,
        stale=rows.stale or None,
    )


async def _history(
    gateway: Gateway,
    after: int,
    since: datetime | None,
    task_id: str | None,
    agent_id: str | None,
    filters: dict[str, Any],
) -> Rows:
    if since is not None:
        # A tenant's time never goes back: the first event since then has all others behind it.
        first = await gateway.ask("first_event_since", since=since)
        if not first:
            return first
        after = max(after, first[0]["seq"] - 1)
    filters = {**filters, "after": after}
    if task_id is not None:
        return await gateway.ask("history_of_task", task_id=task_id, **filters)
    if agent_id is not None:
        return await gateway.ask("history_of_agent", agent_id=agent_id, **filters)
    return await gateway.ask("history", **filters)


@tool(
    title="Get an overview",
    role=Role.VIEWER,
    toolsets=("orchestrate", "inspect"),
    read_only=True,
)
async def get_overview(gateway: Gateway) -> Overview:
    """How many agents and tasks there are in each status, and which capabilities are missing."""
    agents = await gateway.ask("agents_by_status")
    tasks = await gateway.ask("tasks_by_status")
    gaps = await gateway.ask("capability_gaps")
    tenant = await gateway.ask("tenant")
    return Overview(
        seq=gaps.seq,
        agents={row["status"]: row["agents"] for row in agents},
        tasks={row["status"]: row["tasks"] for row in tasks},
        unstaffed=list(gaps),
        rules=tenant[0]["rules"] if tenant else None,
        newest_rules=RULES,
        stale=gaps.stale or None,
    )


@tool(title="Get analytics", role=Role.ANALYST, toolsets=("admin",), read_only=True)
async def get_analytics(
    gateway: Gateway,
    window: Annotated[WindowSize, Field(description="how long each window is")] = "hour",
    measure: Annotated[
        Measure | None, Field(description="only that; times are those in the queue and of runs")
    ] = None,
    since: Annotated[
        Instant | None,
        Field(description="only windows that begin at or after it; else the last 60"),
    ] = None,
    until: Annotated[Instant | None, Field(description="only windows that begin before it")] = None,
    capability: Annotated[
        Id | None, Field(description="only what is about it; else everything together")
    ] = None,
) -> AnalyticsAnswer:
    """What happened in each minute, hour or day (UTC): agents registered, teams formed and refused,
    tasks ended, tokens and cost, and how long tasks waited and ran. At most 1,500 windows; minutes
    are kept for a day, hours for 30 days, days for 400."""
    answer = await gateway.windows(
        window,
        None if since is None else to_milliseconds(since),
        None if until is None else to_milliseconds(until),
        capability,
    )
    return analytics_answer(answer, measure, capability)


@tool(
    title="Run a named question",
    role=Role.VIEWER,
    toolsets=("inspect",),
    read_only=True,
)
async def run_named_query(
    gateway: Gateway,
    name: QueryName,
    params: Annotated[
        dict[str, Any] | None, Field(description="its parameters; see get_graph_schema")
    ] = None,
) -> Answer:
    """Ask one of the prepared questions by name; `get_graph_schema` lists them."""
    rows = await gateway.ask_named(name, params or {})
    return _answer(rows)


@tool(title="Read with Cypher", role=Role.OPERATOR, toolsets=("inspect",), read_only=True)
async def read_cypher(
    gateway: Gateway,
    query: Annotated[Text, Field(description="one read-only statement, 8 KiB at most")],
    params: Annotated[dict[str, Any] | None, Field(description="its $parameters")] = None,
    at: Annotated[
        Seq | Instant | None,
        Field(description="the graph as it was after the event with this seq, or at this time"),
    ] = None,
) -> Answer:
    """Run your own read-only Cypher on the graph, as it is or as it was: MATCH, WHERE, WITH,
    UNWIND, RETURN, ORDER BY, SKIP, LIMIT, UNION and read-only subqueries. At most 1,000 rows and 5
    seconds.

    Example: MATCH (a:Agent)-[:HAS_CAPABILITY]->(c:Capability) RETURN c.name AS capability,
    count(a) AS agents ORDER BY agents DESC. Alias every returned expression.
    """
    json_text(params, "params")  # refuses what no graph could be asked with
    rows = await gateway.read_cypher(query, params or {}, at)
    return _answer(rows)


@tool(
    title="Get the graph's schema",
    role=Role.VIEWER,
    toolsets=("inspect",),
    read_only=True,
)
async def get_graph_schema(gateway: Gateway) -> GraphSchema:
    """The labels, properties and relationships of the graph, and the named questions."""
    return GraphSchema(**gateway.describe())


def _answer(rows: Rows) -> Answer:
    columns = list(rows[0]) if rows else []
    return Answer(columns=columns, rows=rows, seq=rows.seq, stale=rows.stale or None)
