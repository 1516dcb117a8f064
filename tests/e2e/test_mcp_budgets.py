"""Money over MCP: an operator sets limits, a worker reserves before each call and settles after."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.e2e.mcp_caller import Caller
from tests.e2e.server_process import ERAS, Server, checked_log, running

pytestmark = pytest.mark.process

TOKENS = {"prompt_tokens": 900, "completion_tokens": 100, "cached_tokens": 500, "milliseconds": 40}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("budgets")) as started:
        yield started
        checked_log(started.folder)


@pytest.mark.parametrize("era", ERAS)
async def test_a_worker_spends_what_it_may(server: Server, era: str) -> None:
    async with AsyncExitStack() as stack:
        operator = Caller(
            await stack.enter_async_context(
                server.mcp(era, {"X-MCP-Toolsets": "orchestrate,admin"})
            ),
            era,
        )
        worker = Caller(
            await stack.enter_async_context(server.mcp(era, {"X-MCP-Toolsets": "worker"})), era
        )
        held, plan = await prepare(operator, worker)
        await spend(worker, held)
        await run_out(operator, worker, held, plan)
        await end_early(operator, worker, held)
        await look(operator, held, plan)


async def prepare(operator: Caller, worker: Caller) -> tuple[dict[str, Any], str]:
    """A plan of one task with a budget, held by its agent."""
    agent, skill, plan = (worker.named(name) for name in ("ada", "write", "plan"))
    skills = [{"name": skill}]
    await worker.call("register_agent", id=agent, name="A", kind="llm", capabilities=skills)
    draft = {"id": "draft", "requires": [{"capability": skill}]}
    await operator.call("submit_plan", id=plan, title="P", tasks=[draft])
    made = await operator.call("set_budget", task_id=plan, limit_micros=1000, on_exceeded="ask")
    assert made["budget"]["scope"] == "task"
    await operator.call("set_budget", agent_id=agent, limit_micros=5000)
    claimed = await worker.call("claim_task", agent_id=agent, start=False)
    return {"task_id": f"{plan}.draft", "agent_id": agent, "attempt": claimed["attempt"]}, plan


async def spend(worker: Caller, held: dict[str, Any]) -> None:
    """Reserved, settled, each twice; reserved and released."""
    task, agent = held["task_id"], held["agent_id"]
    reserve = {**held, "id": f"{task}.1", "model": "m-1", "amount_micros": 600}
    settle = {"spend_id": f"{task}.1", "agent_id": agent, "cost_micros": 250, **TOKENS}
    for _ in range(2):
        reserved = await worker.call("reserve_spend", **reserve)
        assert (reserved["spend_id"], reserved["status"]) == (f"{task}.1", "reserved")
    for _ in range(2):
        settled = await worker.call("settle_spend", **settle)
        assert (settled["status"], settled["cost_micros"]) == ("settled", 250)
    await worker.call("reserve_spend", **{**reserve, "id": f"{task}.2"})
    released = await worker.call("release_spend", spend_id=f"{task}.2", agent_id=agent)
    assert released["status"] == "released"


async def run_out(operator: Caller, worker: Caller, held: dict[str, Any], plan: str) -> None:
    """What is left of the plan's budget is not enough, until its limit is raised."""
    call_3 = {**held, "id": f"{held['task_id']}.3", "model": "m-2", "amount_micros": 751}
    refused = await worker.refused("reserve_spend", **call_3)
    assert (refused.data["code"], refused.data["budget_id"]) == ("budget_exceeded", f"task:{plan}")
    assert (refused.data["left_micros"], refused.data["on_exceeded"]) == (750, "ask")
    await operator.call("set_budget", task_id=plan, limit_micros=1001)
    await worker.call("reserve_spend", **call_3)


async def end_early(operator: Caller, worker: Caller, held: dict[str, Any]) -> None:
    """The attempt ends with the call not settled, which counts in full until it is."""
    await operator.call("retire_agent", agent_id=held["agent_id"], force=True)
    budgets = await operator.call("list_budgets", scope="agent")
    [own] = [one for one in budgets["budgets"] if one["agent_id"] == held["agent_id"]]
    assert (own["spent_micros"], own["reserved_micros"]) == (1001, 0)
    settle = {"spend_id": f"{held['task_id']}.3", "agent_id": held["agent_id"]}
    late = await worker.call("settle_spend", **settle, cost_micros=800)
    assert (late["cost_micros"], late["overrun_micros"]) == (800, 49)


async def look(operator: Caller, held: dict[str, Any], plan: str) -> None:
    """Every question adds up to the same."""
    found = await operator.call("list_budgets", scope="task")
    [budget] = [one for one in found["budgets"] if one["task_id"] == plan]
    assert (budget["spent_micros"], budget["reserved_micros"]) == (1050, 0)
    assert (budget["left_micros"], budget["spent_tokens"]) == (-49, 1000)
    for by, expected in (
        ("task", {held["task_id"]: 1050}),
        ("agent", {held["agent_id"]: 1050}),
        ("team", {}),
        ("model", {"m-1": 250, "m-2": 800}),
    ):
        asked = await operator.call("get_usage", by=by, task_id=plan)
        assert {one["key"]: one["cost_micros"] for one in asked["usage"]} == expected
        assert not asked["more"]
    first = await operator.call("get_usage", by="model", task_id=plan, limit=1)
    assert ([one["key"] for one in first["usage"]], first["more"]) == (["m-2"], True)
    nothing = await operator.call("get_usage", task_id=plan, until="2001-01-01T00:00:00Z")
    assert nothing["usage"] == []
