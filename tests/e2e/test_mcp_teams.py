"""Teams and plans over MCP: one client plans, another one works it off; and the largest plan."""

import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from tests.e2e.mcp_caller import Caller
from tests.e2e.server_process import (
    ERAS,
    Server,
    checked_log,
    post,
    running,
)

pytestmark = pytest.mark.process

LARGEST = 50_000
#: Seconds that the largest plan may take, on a machine that has other things to do.
LONGEST = 90


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("teams")) as started:
        yield started
        checked_log(started.folder)


async def clients(stack: AsyncExitStack, server: Server, era: str) -> tuple[Caller, Caller]:
    """Somebody who plans, and somebody who works; each sees only the tools for that."""
    other = "legacy" if era != "legacy" else "auto"
    planner = server.mcp(era, {"X-MCP-Toolsets": "orchestrate,admin,inspect"})
    worker = server.mcp(other, {"X-MCP-Toolsets": "worker"})
    return (
        Caller(await stack.enter_async_context(planner), era),
        Caller(await stack.enter_async_context(worker), era),
    )


@pytest.mark.parametrize("era", ERAS)
async def test_a_team_works_off_a_plan(server: Server, era: str) -> None:
    async with AsyncExitStack() as stack:
        planner, worker = await clients(stack, server, era)
        skill, team, plan = (planner.named(name) for name in ("py", "crew", "plan"))
        await hire(planner, skill)
        formed = await planner.call(
            "form_team",
            id=team,
            goal="Write the handbook",
            requires=[{"capability": skill, "level": 0.8}],
        )
        assert [m["agent_id"] for m in formed["team"]["members"]] == [planner.named("ada")]
        submitted = await planner.call(
            "submit_plan",
            id=plan,
            title="The handbook",
            team_id=team,
            tasks=[
                {"id": "draft", "requires": [{"capability": skill, "level": 0.8}]},
                {"id": "review", "depends_on": ["draft"]},
                {"id": "print", "depends_on": [{"task_id": "review", "on_failure": "continue"}]},
            ],
        )
        assert (submitted["task"]["status"], submitted["unstaffed"]) == ("running", [])
        outsider = await worker.call("claim_task", agent_id=worker.named("bob"))
        assert outsider["reason"] == "no_ready_task"
        await work_off(planner, worker, plan)
        await look_at(planner, team, plan)


async def hire(planner: Caller, skill: str) -> None:
    """Ada from a template; Bob, who can do less."""
    template = planner.named("writer")
    await planner.call(
        "define_template",
        name=template,
        kind="llm",
        capabilities=[{"name": skill, "level": 0.9}],
        settings={"model": "large"},
    )
    made = await planner.call("instantiate_agent", template=template, id=planner.named("ada"))
    assert (made["agent"]["template_name"], made["agent"]["version"]) == (template, 1)
    bob = {"id": planner.named("bob"), "name": "Bob", "kind": "human"}
    await planner.call("register_agent", **bob, capabilities=[{"name": skill, "level": 0.1}])
    resource = await planner.resource(f"template://{template}%3A1")
    assert resource["template"]["settings"] == {"model": "large"}
    assert resource["template"]["agents"] == 1


async def work_off(planner: Caller, worker: Caller, plan: str) -> None:
    """The worker does what it is given; the planner sees how far the plan is."""
    ada = worker.named("ada")
    for number, name in enumerate(("draft", "review", "print")):
        rolled = (await planner.call("get_task", task_id=plan))["task"]
        assert (rolled["status"], rolled["children"]) == ("running", 3)
        assert (rolled["completed_children"], rolled["open_children"]) == (number, 3 - number)
        explained = await planner.call("explain_task", task_id=plan)
        assert f"{number} of 3 tasks are completed" in explained["summary"]
        assert explained["next_step"].startswith(f"an agent has to claim {plan}.{name}")
        claimed = await worker.call("claim_task", agent_id=ada, wait_seconds=20)
        assert claimed["task"]["id"] == f"{plan}.{name}"
        explained = await planner.call("explain_task", task_id=plan)
        assert explained["next_step"] == f"{ada} has to complete or fail {plan}.{name}"
        held = {"task_id": f"{plan}.{name}", "agent_id": ada, "attempt": claimed["attempt"]}
        await worker.call("complete_task", **held, result={"pages": number})
    waited = await planner.call("wait_for_tasks", ids=[plan], seconds=20)
    assert waited["finished"]
    done = (await planner.call("get_task", task_id=plan))["task"]
    assert (done["status"], done["completed_children"], done["failed_children"]) == (
        "completed",
        3,
        0,
    )


async def look_at(planner: Caller, team: str, plan: str) -> None:
    """Resources and prompts about what there is."""
    resource = await planner.resource(f"team://{team}")
    assert (resource["team"]["open_tasks"], resource["team"]["tasks"]) == (0, 4)
    assert "next_step" not in await planner.call("explain_task", task_id=plan)
    listed = await planner.call("list_tasks", parent_id=plan, status="completed")
    assert [task["id"] for task in listed["tasks"]] == [
        f"{plan}.{name}" for name in ("draft", "print", "review")
    ]
    assert plan in await planner.prompt("staff_this_plan", plan_id=plan)
    assert team in await planner.prompt("review_the_team", team_id=team)
    gone = await planner.call("disband_team", team_id=team, reason="done")
    assert (gone["team"]["status"], gone["team"]["members"]) == ("disbanded", [])


@pytest.mark.parametrize("era", ERAS)
async def test_cancelling_a_plan_stops_whoever_works_on_it(server: Server, era: str) -> None:
    async with AsyncExitStack() as stack:
        planner, worker = await clients(stack, server, era)
        skill, plan = planner.named("sql"), planner.named("report")
        agent = planner.named("cat")
        levels = [{"name": skill, "level": 1}]
        await planner.call("register_agent", id=agent, name="Cat", kind="llm", capabilities=levels)
        submitted = await planner.call(
            "submit_plan",
            id=plan,
            title="A report",
            form_team={"goal": "Report", "max_size": 1},
            tasks=[
                {"id": "query", "requires": [{"capability": skill}]},
                {"id": "write", "depends_on": ["query"]},
            ],
        )
        team = (await planner.call("get_team", team_id=submitted["team_id"]))["team"]
        assert (team["goal"], [m["agent_id"] for m in team["members"]]) == ("Report", [agent])
        after = await planner.call(
            "create_task",
            title="Send it",
            depends_on=[{"task_id": plan, "on_failure": "cancel"}],
        )
        claimed = await worker.call("claim_task", agent_id=agent)
        lease = {"task_id": claimed["task"]["id"], "attempt": claimed["attempt"]}
        cancelled = await planner.call("cancel_task", task_id=plan, reason="too late")
        assert (cancelled["task"]["status"], cancelled["task"]["failed_children"]) == (
            "cancelled",
            2,
        )
        beat = await worker.call("heartbeat", agent_id=agent, leases=[lease])
        assert beat["leases"][0]["verdict"] == "cancel"
        assert (await planner.call("get_agent", agent_id=agent))["agent"]["active"] == 0
        sent = (await planner.call("get_task", task_id=after["task"]["id"]))["task"]
        assert (sent["status"], sent["reason"]) == ("cancelled", f"dependency {plan} cancelled")
        explained = await planner.call("explain_task", task_id=plan)
        assert "The plan is cancelled: too late. 0 of 2 tasks are completed" in explained["summary"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ({"tasks": []}, "empty_plan", "tasks: a plan needs at least one task"),
        ({"tasks": [{"id": "a"}, {"id": "a"}]}, "duplicate", "tasks.1.id: a is used twice"),
        (
            {"tasks": [{"id": "a", "depends_on": ["b"]}, {"id": "b", "depends_on": ["a"]}]},
            "cycle",
            "a -> b -> a",
        ),
        (
            {"tasks": [{"id": "a", "depends_on": ["ghost"]}]},
            "unknown_task",
            "tasks.0.depends_on: there is no task ghost",
        ),
        ({"tasks": [{"id": "a"}], "team_id": "ghost"}, "unknown_team", "no team ghost"),
        (
            {"tasks": [{"id": "a", "requires": [{"capability": "rust"}]}], "form_team": {}},
            "uncovered",
            "nobody available has rust",
        ),
        ({"tasks": [{"id": "a", "level": 2}]}, "invalid_argument", "tasks.0.level: "),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_by_name(
    server: Server, arguments: dict[str, Any], code: str, says: str
) -> None:
    async with server.mcp("auto") as client:
        refused = await Caller(client, "x").refused("submit_plan", title="P", **arguments)
    assert refused.data["code"] == code
    assert says in refused.line
    assert refused.data["field"]


# ── the largest plan


def peak_megabytes(server: Server) -> int:
    """The most memory that the server's process has ever had."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if "VmHWM" in line)


def patient(server: Server) -> Client[Any]:
    """A client that waits as long as the largest plan may take."""
    return Client(StreamableHttpTransport(f"{server.url}/mcp"), timeout=LONGEST)


def large_plan(tasks: int) -> list[dict[str, Any]]:
    """Chains of ten, all for one capability."""
    return [
        {
            "id": f"t{n:05}",
            "requires": [{"capability": "py"}],
            "depends_on": [f"t{n - 1:05}"] if n % 10 else [],
        }
        for n in range(tasks)
    ]


@pytest.mark.slow
@pytest.mark.timeout(4 * LONGEST)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
async def test_the_largest_plan_is_one_command(tmp_path: Path, record_property: Any) -> None:
    with running(tmp_path) as server:
        async with patient(server) as client:
            caller = Caller(client, "large")
            before = peak_megabytes(server)
            started = time.perf_counter()
            answer = await caller.call(
                "submit_plan", id="large", title="L", tasks=large_plan(LARGEST)
            )
            seconds = time.perf_counter() - started
            assert answer["task"]["open_children"] == LARGEST
            read, page_seconds = await read_all(caller)
            assert read == [f"large.t{n:05}" for n in range(LARGEST)]
            peak = peak_megabytes(server)
            refused = await caller.refused("submit_plan", title="L", tasks=large_plan(LARGEST + 1))
            assert (refused.data["error"], refused.data["field"]) == ("rejected", "tasks")
            assert "50000" in refused.line
            await go_on(caller)
        record_property("seconds", round(seconds, 1))
        record_property("peak_megabytes", peak)
        sys.stdout.write(
            f"{LARGEST} tasks in one command: {seconds:.1f} s, memory {before} -> {peak} MB at"
            f" most; read in pages of 200: {page_seconds:.1f} s\n"
        )
        assert seconds < LONGEST
        with server.http() as http:
            status, _ = post(http, "get_overview", {})
            assert status == 200
    summary = checked_log(tmp_path)
    assert summary["events"] == {
        "AgentRegistered": 1,
        "PlanSubmitted": 1,
        "TaskCancelled": 1,
        "TaskClaimed": 1,
        "TaskCompleted": 1,
    }


async def read_all(caller: Caller) -> tuple[list[str], float]:
    """The ids of all tasks, page by page, and how long that took."""
    started = time.perf_counter()
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await caller.call("list_tasks", parent_id="large", limit=200, **cursor)
        ids += [task["id"] for task in page["tasks"]]
        if "next_cursor" not in page:
            return ids, time.perf_counter() - started
        cursor = {"cursor": page["next_cursor"]}


async def go_on(caller: Caller) -> None:
    """Somebody works on it, then it is cancelled with all that is left."""
    await caller.call("register_agent", id="a", name="A", kind="llm", capabilities=[{"name": "py"}])
    claimed = await caller.call("claim_task", agent_id="a")
    held = {"task_id": claimed["task"]["id"], "agent_id": "a", "attempt": 1}
    await caller.call("complete_task", **held)
    explained = await caller.call("explain_task", task_id="large")
    assert "1 of 50000 tasks are completed, 5000 ready, 44999 blocked" in explained["summary"]
    answer = await caller.call("cancel_task", task_id="large")
    decided = answer["seq"]
    while answer.get("stale") or answer["seq"] < decided:  # the graph has not all of it yet
        answer = await caller.call("get_task", task_id="large")
    cancelled = answer["task"]
    assert (cancelled["status"], cancelled["failed_children"]) == ("cancelled", LARGEST - 1)
