"""Every named question runs on every graph, and answers with aliased columns."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.module import REQUIRED

CALLER = Caller()
REQUIRED_VALUES = {
    "task_id": "second",
    "agent_id": "ada",
    "plan_id": "plan",
    "team_id": "crew",
    "template": "coder",
    "template_id": "coder:2",
    "ids": ["first", "second"],
    "names": ["python"],
    "levels": {"python": 0.5},
}
PYTHON = {"names": ["python"], "levels": {"python": 0.5}}
SQL = {"names": ["sql"], "levels": {"sql": 0.0}}
PLAN = [{"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c"}]


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    platform = Platform(open_backends(Config(data=tmp_path)))
    await platform.start()
    await platform.call(
        "register_agent",
        {"id": "ada", "name": "Ada", "kind": "human", "capabilities": [{"name": "python"}]},
        CALLER,
    )
    python = [{"capability": "python", "level": 0.5}]
    for arguments in (
        {"id": "first", "title": "First", "requires": python},
        {"id": "second", "title": "Second", "depends_on": ["first"]},
        {"id": "third", "title": "Third", "requires": [{"capability": "unknown"}]},
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
    )
    for tool, given in calls:
        await platform.call(tool, given, CALLER)
    yield platform
    await platform.stop()


@pytest.mark.parametrize("name", sorted(REGISTRY.queries))
async def test_a_named_question_runs(platform: Platform, name: str) -> None:
    query = REGISTRY.queries[name]
    params = {
        parameter: REQUIRED_VALUES[parameter]
        for parameter, default in query.parameters.items()
        if default is REQUIRED
    }
    answer = await platform.call("run_named_query", {"name": name, "params": params}, CALLER)
    assert query.sentence.endswith(".")
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
        ("capable_members", {"team_id": "crew", "names": [], "levels": {}}, "id", ["ada"]),
        ("capable_members", {"team_id": "crew", **PYTHON}, "id", ["ada"]),
        ("capable_members", {"team_id": "crew", **SQL}, "id", []),
        ("team", {"team_id": "crew"}, "open_tasks", [3]),
        ("teams", {"agent_id": "ada"}, "id", ["crew"]),
        ("teams", {"agent_id": "bob"}, "id", []),
        ("teams", {"status": "disbanded"}, "id", []),
        ("tasks", {"team_id": "crew", "parent_id": "plan"}, "id", ["plan.a", "plan.b", "plan.c"]),
        ("tasks", {"team_id": "crew", "agent_id": "ada"}, "id", ["plan.a"]),
        ("templates", {"template": "coder"}, "id", ["coder:1", "coder:2"]),
        ("templates", {"template_id": "coder:1"}, "agents", [0]),
        ("templates", {"template_id": "coder:2"}, "agents", [1]),
        ("template_lineage", {"template_id": "coder:2"}, "id", ["coder:1"]),
        ("instances", {"template": "coder"}, "id", ["bob"]),
        ("unfinished_dependencies", {"ids": ["plan.b", "second"]}, "id", ["first", "plan.a"]),
        ("agent_load", {}, "active", [2, 0]),
    ],
)
async def test_what_is_answered(
    platform: Platform, name: str, params: dict[str, object], column: str, expected: list[object]
) -> None:
    answer = await platform.call("run_named_query", {"name": name, "params": params}, CALLER)
    assert [row[column] for row in answer["rows"]] == expected


async def test_a_question_that_is_not_there_is_refused_by_name(platform: Platform) -> None:
    with pytest.raises(Exception, match="known: agent, agent_load"):
        await platform.call("run_named_query", {"name": "nonsense"}, CALLER)
