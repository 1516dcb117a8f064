"""Every named question runs on every graph, and answers with aliased columns."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.backends import embedded
from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.backends.graph.neo4j import Neo4jGraph
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.module import REQUIRED
from tests.services import neo4j

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = 1_700_000_000_000
CALLER = Caller()
REQUIRED_VALUES = {
    "task_id": "second",
    "agent_id": "ada",
    "plan_id": "plan",
    "team_id": "crew",
    "conversation_id": "talk",
    "artifact_name": "b.bin",
    "template": "coder",
    "template_id": "coder:2",
    "since": "2023-11-14T23:13:20+01:00",
    "until": "2023-11-14T23:13:20.001+01:00",
    "ids": ["first", "second"],
    "label": "coordination=first",
    "names": ["python"],
    "levels": {"python": 0.5},
}
PYTHON = {"names": ["python"], "levels": {"python": 0.5}}
SQL = {"names": ["sql"], "levels": {"sql": 0.0}}
SAY = {"conversation_id": "talk"}
LARGEST = 2**63 - 1
FIRST = {"task_id": "first", "agent_id": "ada", "attempt": 1}
HELD = {"task_id": "plan.a", "agent_id": "ada", "attempt": 1}
BINARY = {**HELD, "encoding": "base64"}
EVER = {"since": "1970-01-01T00:00:00Z", "until": "9999-12-31T00:00:00Z"}
TOKENS = {"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 1, "milliseconds": 9}
STEP = {"labels": {"coordination": "first"}}
PLAN = [{"id": "a", **STEP}, {"id": "b", "depends_on": ["a"]}, {"id": "c", **STEP}]


@contextmanager
def graph_named(name: str) -> Generator[None]:
    """Inside, platforms have that graph."""
    with ExitStack() as stack:
        made: Callable[[Path, Iterable[type[Entity]]], Graph] = KgliteGraph
        if name == "neo4j":
            database = stack.enter_context(neo4j.emptied())
            made = lambda _, entities: Neo4jGraph(database, entities)  # noqa: E731
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(embedded, "KgliteGraph", made)
        yield


@asynccontextmanager
async def running(platform: Platform) -> AsyncGenerator[Platform]:
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()


@asynccontextmanager
async def filled(name: str, folder: Path) -> AsyncGenerator[Platform]:
    with graph_named(name):
        backends = open_backends(Config(data=folder), lambda: NOW)
        platform = Platform(backends, lambda: NOW, secret="x" * 32)
        async with running(platform):
            await fill(platform)
            yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["kglite", "neo4j"])
async def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """One for all questions, for they change nothing."""
    async with filled(request.param, tmp_path_factory.mktemp("data")) as platform:
        yield platform


async def fill(platform: Platform) -> None:
    await platform.call(
        "register_agent",
        {"id": "ada", "name": "Ada", "kind": "human", "capabilities": [{"name": "python"}]},
        CALLER,
    )
    python = [{"capability": "python", "level": 0.5}]
    for arguments in (
        {"id": "first", "title": "First", "requires": python},
        {"id": "second", "title": "Second", "depends_on": ["first"]},
        {"id": "third", "title": "Third", "requires": [{"capability": "unknown"}], **STEP},
    ):
        await platform.call("create_task", arguments, CALLER)
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("claim_task", {"agent_id": "ada"}),
        ("form_team", {"id": "crew", "goal": "Ship it", "requires": python}),
        ("define_template", {"name": "coder", "kind": "llm", "capabilities": []}),
        ("define_template", {"name": "coder", "kind": "llm", "capabilities": [{"name": "python"}]}),
        ("instantiate_agent", {"template": "coder", "id": "bob"}),
        ("submit_plan", {"id": "plan", "title": "P", "team_id": "crew", "tasks": PLAN}),
        ("cancel_task", {"task_id": "plan.b"}),
        ("update_agent", {"agent_id": "ada", "max_concurrency": 2}),
        ("assign_task", {"agent_id": "ada", "task_id": "plan.a"}),
        ("open_conversation", {"id": "talk", "topic": "T", "task_id": "first", "text": "Which?"}),
        ("send_message", {**SAY, "text": "This one.", "agent_id": "ada", "reply_to": 1}),
        ("send_message", {**SAY, "text": "Thanks.", "to": "ada", "data": [1]}),
        ("open_conversation", {"id": "team-talk", "topic": "T", "team_id": "crew"}),
        ("close_conversation", {"conversation_id": "team-talk"}),
        ("create_task", {"id": "zoe", "title": "Z", "agent_id": "ada", "team_id": "crew"}),
        ("cancel_task", {"task_id": "zoe"}),
        ("set_budget", {"limit_micros": 100}),
        ("set_budget", {"limit_micros": 200, "team_id": "crew", "on_exceeded": "ask"}),
        ("set_budget", {"limit_micros": 400, "task_id": "plan"}),
        ("reserve_spend", {**FIRST, "id": "s1", "model": "m-1", "amount_micros": 10}),
        ("reserve_spend", {**HELD, "id": "s2", "model": "m-1", "amount_micros": 30}),
        ("reserve_spend", {**HELD, "id": "s3", "model": "m-2", "amount_micros": 20}),
        ("settle_spend", {"spend_id": "s1", "agent_id": "ada", "cost_micros": 7, **TOKENS}),
        ("settle_spend", {"spend_id": "s2", "agent_id": "ada", "cost_micros": 33, **TOKENS}),
        ("report_circuit_breaker", {"agent_id": "bob", "service": "m-1", "state": "open"}),
        ("report_circuit_breaker", {"agent_id": "ada", "service": "m-1", "state": "closed"}),
        ("add_artifact", {**FIRST, "name": "one/a.txt", "content": "a"}),
        ("add_artifact", {**BINARY, "name": "b.bin", "content": "AP8="}),
        ("add_user", {"id": "ann", "password": "correct horse", "roles": ["viewer", "admin"]}),
        ("add_user", {"id": "ben", "password": "correct horse", "roles": ["analyst"]}),
        ("update_user", {"user_id": "ben", "disabled": True}),
        # The last one waits for the graph.
        ("set_budget", {"limit_micros": 300, "agent_id": "ada"}),
    )
    for tool, given in calls:
        await platform.call(tool, given, CALLER)
        if tool == "add_user" and given["id"] == "ann":
            await platform.accounts.log_in(CALLER.tenant, "ann", given["password"])


async def asked(platform: Platform, name: str) -> dict[str, Any]:
    params = {
        parameter: REQUIRED_VALUES[parameter]
        for parameter, default in REGISTRY.queries[name].parameters.items()
        if default is REQUIRED
    }
    return await platform.call("run_named_query", {"name": name, "params": params}, CALLER)


async def test_every_graph_answers_as_the_embedded_one(platform: Platform, tmp_path: Path) -> None:
    async with filled("kglite", tmp_path) as embedded:
        for name in sorted(REGISTRY.queries):
            assert await asked(platform, name) == await asked(embedded, name)


@pytest.mark.parametrize("name", sorted(REGISTRY.queries))
async def test_a_named_question_runs(platform: Platform, name: str) -> None:
    answer = await asked(platform, name)
    assert REGISTRY.queries[name].sentence.endswith(".")
    assert all(column.isidentifier() for column in answer["columns"])


@pytest.mark.parametrize(
    ("name", "params", "column", "expected"),
    [
        ("plan_tasks", {"plan_id": "plan"}, "id", ["plan.a", "plan.b", "plan.c"]),
        ("plan_tasks", {"plan_id": "plan", "after_id": "plan.a", "limit": 1}, "id", ["plan.b"]),
        ("plan_failures", {"plan_id": "plan"}, "id", ["plan.b"]),
        ("plan_progress", {"plan_id": "plan"}, "status", ["assigned", "cancelled", "ready"]),
        ("plan_frontier", {"plan_id": "plan"}, "id", ["plan.a", "plan.c"]),
        ("plans", {}, "id", ["plan"]),
        ("open_steps", {"label": "coordination=first", "after_id": ""}, "id", ["plan", "third"]),
        ("open_steps", {"label": "coordination=second", "after_id": ""}, "id", []),
        ("coordinations", {}, "name", ["first"]),
        ("coordinations", {"after_name": "first"}, "name", []),
        ("capable_members", {"team_id": "crew", "names": [], "levels": {}}, "id", ["ada"]),
        ("capable_members", {"team_id": "crew", **PYTHON}, "id", ["ada"]),
        ("capable_members", {"team_id": "crew", **SQL}, "id", []),
        ("team", {"team_id": "crew"}, "open_tasks", [3]),
        ("teams", {"agent_id": "ada"}, "id", ["crew"]),
        ("teams", {"agent_id": "bob"}, "id", []),
        ("teams", {"status": "disbanded"}, "id", []),
        ("tasks", {"team_id": "crew", "parent_id": "plan"}, "id", ["plan.a", "plan.b", "plan.c"]),
        ("tasks", {"team_id": "crew", "agent_id": "ada"}, "id", ["plan.a"]),
        ("task", {"task_id": "zoe"}, "meant_fors", [["ada"]]),
        ("templates", {"template": "coder"}, "id", ["coder:1", "coder:2"]),
        ("templates", {"template_id": "coder:1"}, "agents", [0]),
        ("templates", {"template_id": "coder:2"}, "agents", [1]),
        ("template_lineage", {"template_id": "coder:2"}, "id", ["coder:1"]),
        ("instances", {"template": "coder"}, "id", ["bob"]),
        ("unfinished_dependencies", {"ids": ["plan.b", "second"]}, "id", ["first", "plan.a"]),
        ("agent_load", {}, "active", [2, 0]),
        ("agents", {}, "circuit_breaker_state", ["closed", "open"]),
        ("circuit_breakers", {}, "id", ["bob"]),
        ("circuit_breakers", {}, "service", ["m-1"]),
        ("circuit_breakers", {"after_id": "bob"}, "id", []),
        ("artifact", {"task_id": "first", "artifact_name": "one/a.txt"}, "agent_id", ["ada"]),
        ("artifact", {"task_id": "plan.a", "artifact_name": "b.bin", "attempt": 1}, "size", [2]),
        ("artifact", {"task_id": "plan.a", "artifact_name": "b.bin", "attempt": 2}, "size", []),
        ("artifacts", {}, "id", ["first:1:one%2Fa.txt", "plan.a:1:b.bin"]),
        ("artifacts", {"task_id": "plan"}, "task_id", ["plan.a"]),
        ("artifacts", {"agent_id": "bob"}, "name", []),
        ("artifacts", {"after_id": "first:1:one%2Fa.txt", "limit": 1}, "name", ["b.bin"]),
        ("conversation", SAY, "messages", [3]),
        ("conversation", SAY, "task_ids", [["first"]]),
        ("conversations", {}, "id", ["talk", "team-talk"]),
        ("conversations", {}, "team_ids", [[], ["crew"]]),
        ("conversations", {"limit": 1, "after_id": "talk"}, "id", ["team-talk"]),
        ("conversations", {"status": "open"}, "id", ["talk"]),
        ("conversations", {"task_id": "first"}, "id", ["talk"]),
        ("conversations", {"task_id": "second"}, "id", []),
        ("conversations", {"team_id": "crew"}, "id", ["team-talk"]),
        ("conversations", {"agent_id": "ada"}, "id", ["talk"]),
        ("conversations", {"agent_id": "bob"}, "id", []),
        ("messages", SAY, "number", [1, 2, 3]),
        ("messages", SAY, "author_kind", ["principal", "agent", "principal"]),
        ("messages", SAY, "to_ids", [[], [], ["ada"]]),
        ("messages", SAY, "replies", [[], [1], []]),
        ("messages", {**SAY, "after": 1, "limit": 1}, "number", [2]),
        ("messages", {**SAY, "after": 3}, "number", []),
        ("messages", {**SAY, "after": LARGEST, "limit": 1000}, "number", []),
        ("messages", {"conversation_id": "team-talk"}, "number", []),
        ("budgets", {}, "id", ["agent:ada", "task:plan", "team:crew", "tenant"]),
        ("budgets", {"after_id": "task:plan", "limit": 1}, "team_id", ["crew"]),
        ("budgets", {"scope": "task"}, "task_id", ["plan"]),
        ("budgets", {"budget_id": "tenant"}, "spent_micros", [40]),
        ("budgets", {"budget_id": "tenant"}, "reserved_micros", [20]),
        ("budgets", {"budget_id": "tenant"}, "left_micros", [40]),
        ("budgets", {"budget_id": "tenant"}, "spent_tokens", [14]),
        ("budgets", {"scope": "team"}, "left_micros", [147]),
        ("budgets", {"scope": "agent"}, "agent_id", ["ada"]),
        ("spends", {}, "status", ["settled", "settled", "reserved"]),
        ("spends", {"status": "reserved"}, "id", ["s3"]),
        ("spends", {"task_id": "plan", "after_id": "s2"}, "id", ["s3"]),
        ("usage_by_task", EVER, "id", ["plan.a", "first"]),
        ("usage_by_task", EVER, "cost_micros", [33, 7]),
        ("usage_by_task", EVER, "overrun_micros", [3, 0]),
        ("usage_by_task", EVER, "reserved_micros", [20, 0]),
        ("usage_by_task", {**EVER, "task_id": "plan"}, "calls", [2]),
        ("usage_by_task", {**EVER, "limit": 1}, "prompt_tokens", [5]),
        ("usage_by_agent", EVER, "cost_micros", [40]),
        ("usage_by_agent", EVER, "id", ["ada"]),
        ("usage_by_team", EVER, "id", ["crew"]),
        ("usage_by_team", EVER, "cost_micros", [33]),
        ("usage_by_model", EVER, "model", ["m-1", "m-2"]),
        ("usage_by_model", {**EVER, "task_id": "plan"}, "cost_micros", [33, 0]),
        ("usage_by_model", {**EVER, "since": "2023-11-14T22:13:20Z"}, "calls", [2, 1]),
        ("usage_by_model", {**EVER, "since": "2023-11-14T22:13:20.001Z"}, "calls", []),
        ("usage_by_model", {**EVER, "until": "2023-11-14T22:13:20.001Z"}, "calls", [2, 1]),
        ("usage_by_model", {**EVER, "until": "2023-11-14T22:13:20Z"}, "calls", []),
        ("users", {}, "id", ["ann", "ben"]),
        ("users", {}, "sessions", [1, 0]),
        ("users", {"after_id": "ann"}, "roles", [["analyst"]]),
        ("users", {"user_id": "ann", "limit": 1}, "roles", [["admin", "viewer"]]),
        ("users", {"user_id": "absent"}, "id", []),
        ("first_event_since", {"since": "2023-11-14T22:13:20Z"}, "seq", [1]),
        ("first_event_since", {"since": "2023-11-14T22:13:20.001Z"}, "seq", []),
    ],
)
async def test_what_is_answered(
    platform: Platform, name: str, params: dict[str, object], column: str, expected: list[object]
) -> None:
    answer = await platform.call("run_named_query", {"name": name, "params": params}, CALLER)
    assert [row[column] for row in answer["rows"]] == expected


@pytest.mark.parametrize(
    "time",
    [
        "now",
        "",
        "2023-11-14",
        "2023-11-14T22:13:22",
        "1700000000",
        5,
        True,
        "0001-01-01T00:00:00+14:00",
    ],
)
async def test_what_is_no_instant_is_refused(platform: Platform, time: object) -> None:
    with pytest.raises(Rejected, match="since") as refused:
        await platform.call("get_history", {"since": time}, CALLER)
    assert "2026-01-31T12:00:00Z" in refused.value.reason


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_no_instant_is_too_early_or_too_late(platform: Platform, time: str) -> None:
    await platform.call("get_history", {"since": time}, CALLER)
    params = {"name": "first_event_since", "params": {"since": time}}
    await platform.call("run_named_query", params, CALLER)


@pytest.mark.parametrize("time", ["nonsense", "2023-11-14T22:13:22", 5])
async def test_a_question_since_no_instant_is_refused(platform: Platform, time: object) -> None:
    params = {"name": "first_event_since", "params": {"since": time}}
    with pytest.raises(Rejected, match="params: since"):
        await platform.call("run_named_query", params, CALLER)


async def test_a_question_that_is_not_there_is_refused_by_name(platform: Platform) -> None:
    with pytest.raises(Exception, match="known: agent, agent_load"):
        await platform.call("run_named_query", {"name": "nonsense"}, CALLER)
