"""Plans on the whole platform: larger than a record, explained, restarted, killed."""

import asyncio
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS
from tests.e2e.check_log import check_folder
from tests.integration.world import Clock, World, until, until_async

PYTHON = [{"name": "python", "level": 0.8}]
NEEDS_PYTHON = [{"capability": "python", "level": 0.5}]


def chains(number: int, length: int = 10) -> list[dict[str, Any]]:
    """So many tasks, in chains."""
    return [
        {
            "id": f"t{n:05}",
            "description": "All that one has to know, " * 4,
            "requires": NEEDS_PYTHON,
            "depends_on": [f"t{n - 1:05}"] if n % length else [],
        }
        for n in range(number)
    ]


async def plan(world: World, tasks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return await world.call("submit_plan", **{"id": "p", "title": "P", "tasks": tasks, **more})


async def do_one(world: World, agent: str = "ann") -> str:
    """Claim and complete a task; answers its id."""
    claim = await world.call("claim_task", agent_id=agent)
    held = {"task_id": claim["task"]["id"], "agent_id": agent, "attempt": claim["attempt"]}
    await world.call("complete_task", **held)
    return held["task_id"]


# ── larger than a record


async def test_a_plan_larger_than_a_record_is_decided_folded_and_kept(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", capabilities=PYTHON)
        answer = await plan(world, chains(1000))
        assert (answer["task"]["status"], answer["task"]["open_children"]) == ("running", 1000)
        for topic in (COMMANDS, EVENTS):
            stored = [
                record
                for number in range(world.log.topics()[topic].partitions)
                for record in await world.log.read(topic, number, 0, 99)
                if "ce_dataref" in record.headers
            ]
            assert [record.value for record in stored] == [b""]
        assert await do_one(world) == "p.t00000"
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        await world.is_fold_of_log()
    assert check_folder(tmp_path)["violations"] == []


async def test_a_plan_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", capabilities=PYTHON, max_concurrency=9)
        await plan(world, chains(1000))
        await do_one(world)
        before = await world.fingerprint()
        held = await world.call("claim_task", agent_id="ann")
    async with World(tmp_path) as world:
        await world.ready()
        its = (await world.call("get_task", task_id="p"))["task"]
        assert (its["open_children"], its["completed_children"]) == (999, 1)
        done = {"task_id": held["task"]["id"], "agent_id": "ann", "attempt": 1}
        await world.call("complete_task", **done)
        await world.call("cancel_task", task_id="p")
        its = (await world.call("get_task", task_id="p"))["task"]
        assert (its["status"], its["failed_children"]) == ("cancelled", 998)
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        assert await world.fingerprint() != before
    assert check_folder(tmp_path)["violations"] == []


async def test_a_plan_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        tasks = chains(500)
        tasks[0]["depends_on"] = ["t00003"]
        with pytest.raises(Rejected) as caught:
            await plan(world, tasks)
        assert caught.value.details["cycle"] == ["t00000", "t00003", "t00002", "t00001", "t00000"]
        assert await world.events() == []
        await plan(world, chains(500))


async def test_a_repeated_submission_is_carried_out_once(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        twice = [plan(world, chains(400), idempotency_key="k") for _ in range(2)]
        first, second = await asyncio.gather(*twice)
        assert first["seq"] == second["seq"]
        assert await world.types() == ["PlanSubmitted"]
    async with World(tmp_path) as world:
        again = await plan(world, chains(400), idempotency_key="k")
        assert (again["seq"], again["unstaffed"]) == (first["seq"], ["python"])
        assert await world.types() == ["PlanSubmitted"]


async def test_a_payload_too_large_for_a_plan_is_told_with_its_task(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        tasks = [{"id": "a"}, {"id": "b", "payload": "x" * 70_000}]
        with pytest.raises(Rejected) as caught:
            await plan(world, tasks)
        assert (caught.value.code, caught.value.details["field"]) == (
            "too_large",
            "tasks.1.payload",
        )


def delete_graph(folder: Path) -> None:
    for path in folder.glob("graph.kgl*"):
        path.unlink()


async def test_a_lost_value_stops_the_partition_and_its_return_lets_it_go_on(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await plan(world, chains(500))
    delete_graph(tmp_path)
    aside = tmp_path / "aside"
    shutil.move(tmp_path / "blobs", aside)
    async with World(tmp_path) as world:

        async def stopped() -> bool:
            checks = (await world.platform.status())["checks"].values()
            return any("is not among the blobs" in check["detail"] for check in checks)

        await until_async(stopped, "the partition stops")
        assert not (await world.platform.status())["ready"]
    shutil.move(aside, tmp_path / "blobs")
    async with World(tmp_path) as world:
        await world.is_fold_of_log()
        assert (await world.call("get_task", task_id="p"))["task"]["children"] == 500


# ── reading a plan


async def test_a_plan_is_read_page_by_page(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("before")
        await world.task("z-after")
        await plan(world, chains(450))
        pages: list[list[str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await world.call("list_tasks", parent_id="p", limit=200, **cursor)
            pages.append([task["id"] for task in page["tasks"]])
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert [len(page) for page in pages] == [200, 200, 50]
        assert [one for page in pages for one in page] == [f"p.t{n:05}" for n in range(450)]


async def test_a_plan_is_waited_for_until_its_last_task(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await plan(world, [{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
        waiting = asyncio.create_task(world.call("wait_for_tasks", ids=["p"], seconds=30))
        assert await do_one(world) == "p.a"
        assert not waiting.done()
        assert await do_one(world) == "p.b"
        answer = await waiting
        assert answer["finished"]
        assert answer["tasks"][0]["status"] == "completed"


async def test_a_submitted_plan_wakes_those_who_wait_for_work(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        agents = [f"a{n}" for n in range(5)]
        for agent in agents:
            await world.agent(agent, capabilities=PYTHON)
        await world.agent("other")
        claims = [
            asyncio.create_task(world.call("claim_task", agent_id=agent, wait_seconds=30))
            for agent in agents
        ]
        other = asyncio.create_task(world.call("claim_task", agent_id="other", wait_seconds=30))

        async def asked() -> bool:
            return len(await world.records(COMMANDS)) == 6 + 6

        await until_async(asked, "everybody asks")
        await world.settled()
        await plan(world, chains(30, length=1))
        claimed = [await claim for claim in claims]
        assert len({one["task"]["id"] for one in claimed}) == len(agents)
        assert not other.done()
        await world.task("anything")
        assert (await other)["task"]["id"] == "anything"


# ── explaining


async def explained(world: World, task_id: str = "p") -> tuple[str, str | None, list[str]]:
    answer = await world.call("explain_task", task_id=task_id)
    return answer["summary"], answer.get("next_step"), [w["id"] for w in answer["waits_for"]]


async def test_a_running_plan_says_how_far_it_is_and_what_moves_it(tmp_path: Path) -> None:
    clock = Clock()
    async with World(tmp_path, clock) as world:
        await world.agent("ann", max_concurrency=9)
        tasks = [
            {"id": "a", "title": "First", "retry": {"max_attempts": 1}},
            {"id": "b", "depends_on": ["a"]},
            {"id": "c"},
            {"id": "d", "depends_on": [{"task_id": "c", "on_failure": "block"}]},
            {"id": "e", "requires": NEEDS_PYTHON},
        ]
        await plan(world, tasks)
        assert await explained(world) == (
            "The plan is running: 0 of 5 tasks are completed, 3 ready, 2 blocked.",
            "an agent has to claim p.a; explain_task of it says who could",
            ["p.a", "p.c", "p.e"],
        )
        held = await world.call("claim_task", agent_id="ann")
        answer = await world.call("explain_task", task_id="p")
        assert answer["summary"].endswith("completed, 1 running, 2 ready, 2 blocked.")
        assert answer["next_step"] == "ann has to complete or fail p.a"
        assert answer["waits_for"][0]["what"] == "task"
        assert answer["waits_for"][0]["detail"].startswith(
            "First is running, held by ann in attempt 1 until "
        )
        by_ann = {"agent_id": "ann", "attempt": held["attempt"]}
        await world.call("fail_task", task_id="p.a", **by_ann, error="no network")
        await world.call("claim_task", agent_id="ann")
        await world.call("fail_task", task_id="p.c", **by_ann, error="odd", retry_after_seconds=60)
        summary, next_step, waits = await explained(world)
        assert summary == (
            "The plan is running: 0 of 5 tasks are completed, 2 failed or cancelled, 1 ready,"
            " 2 blocked; the first that did not complete: p.a failed (no network)."
        )
        assert next_step == "an agent has to claim p.e; explain_task of it says who could"
        assert waits == ["p.e", "p.c"]
        await world.call("cancel_task", task_id="p.e")
        _, next_step, waits = await explained(world)
        assert waits == ["p.c"]
        assert next_step is not None
        assert next_step.startswith("p.c is ready again at ")
        await world.call("cancel_task", task_id="p.c")
        assert await explained(world) == (
            (
                "The plan is running: 0 of 5 tasks are completed, 4 failed or cancelled, 1 blocked;"
                " the first that did not complete: p.a failed (no network)."
            ),
            (
                "nothing: what is left waits for tasks outside the plan or in vain: cancel p.d,"
                " or the plan"
            ),
            ["p.d"],
        )


async def test_a_finished_plan_says_how_it_ended(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await plan(world, [{"id": "a"}])
        await do_one(world)
        assert await explained(world) == (
            "The plan is completed. 1 of 1 tasks are completed.",
            None,
            [],
        )
        await plan(world, [{"id": "a"}, {"id": "b"}], id="q")
        await do_one(world)
        await world.call("cancel_task", task_id="q.b", reason="not needed")
        assert await explained(world, "q") == (
            (
                "The plan is failed: 1 of 2 tasks did not complete. 1 of 2 tasks are completed; the"
                " first that did not complete: q.b cancelled (not needed)."
            ),
            None,
            [],
        )


async def test_a_task_of_a_plan_says_what_it_waits_for(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await plan(
            world, [{"id": f"t{n}", "depends_on": [f"t{n - 1}"] * (n > 0)} for n in range(4)]
        )
        summary, next_step, waits = await explained(world, "p.t3")
        assert (summary, next_step) == ("It waits for 1 of 1 dependencies.", "complete p.t2")
        assert waits == ["p.t2", "p.t1", "p.t0"]
        answer = await world.call("explain_task", task_id="p.t3")
        assert answer["waits_for"][1]["detail"] == "t1 is blocked, 2 steps away"
        assert [event["type"] for event in answer["events"]] == ["PlanSubmitted"]


async def test_a_task_in_a_dense_plan_is_explained_in_time(tmp_path: Path) -> None:
    """There are 8 to the power of 14 ways through it."""
    layers, width = 15, 8
    tasks = [
        {
            "id": f"l{layer:02}-{n}",
            "depends_on": [f"l{layer - 1:02}-{k}" for k in range(width)] if layer else [],
        }
        for layer in range(layers)
        for n in range(width)
    ]
    async with World(tmp_path) as world:
        await plan(world, tasks)
        async with asyncio.timeout(5):
            _, _, waits = await explained(world, "p.l14-0")
        assert waits[:8] == [f"p.l13-{n}" for n in range(8)]
        assert len(waits) == 50


async def test_a_teams_ready_task_names_members_who_could_do_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for agent in ("ann", "bob", "cat"):
            await world.agent(agent, capabilities=PYTHON if agent != "cat" else [])
        members = [{"agent_id": agent} for agent in ("bob", "cat")]
        await world.call("form_team", id="crew", goal="x", members=members)
        await plan(world, [{"id": "a"}, {"id": "b", "requires": NEEDS_PYTHON}], team_id="crew")
        assert await explained(world, "p.a") == (
            "It is ready for a member of team crew.",
            "one of these agents claims it",
            ["bob", "cat"],
        )
        assert await explained(world, "p.b") == (
            "It is ready for a member of team crew with python at 0.5.",
            "one of these agents claims it",
            ["bob"],
        )
        await world.call("update_team", team_id="crew", remove=["bob"])
        assert await explained(world, "p.b") == (
            "It is ready, but there is no member of team crew with python at 0.5.",
            "add such a member with update_team",
            ["python"],
        )
        await world.call("update_team", team_id="crew", remove=["cat"])
        summary, _, waits = await explained(world, "p.a")
        assert (summary, waits) == ("It is ready, but there is no member of team crew.", [])


# ── large teams


async def test_a_team_with_a_large_plan_is_disbanded_and_its_tasks_listed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann", capabilities=PYTHON)
        await world.call("form_team", id="crew", goal="x", members=[{"agent_id": "ann"}])
        await plan(world, chains(3000), team_id="crew")
        page = await world.call("list_tasks", team_id="crew", limit=2, cursor="p.t02997")
        assert [task["id"] for task in page["tasks"]] == ["p.t02998", "p.t02999"]
        assert (await world.call("get_team", team_id="crew"))["team"]["open_tasks"] == 3001
        answer = await world.call("disband_team", team_id="crew", force=True)
        assert (answer["released"], answer["team"]["open_tasks"]) == (3001, 0)
        await world.is_fold_of_log()
        await world.rebuilt_equal()


# ── killed


WORKER = """
import asyncio, sys
from agent_orchestration.app import Platform, open_backends
from agent_orchestration.backends.graph import kglite
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller

async def main():
    kglite.LARGE_ROWS = 1000  # plans are written as very large batches are
    platform = Platform(open_backends(Config(data=sys.argv[1])))
    await platform.start()
    number = int(sys.argv[2])
    async def call(tool, **arguments):
        return await platform.call(tool, arguments, Caller())
    agent = f"agent-{number}"
    await call("register_agent", id=agent, name=agent, kind="function", capabilities=[])
    while True:
        number += 1
        tasks = [
            {"id": f"t{n}", "description": "x" * 90, "depends_on": [f"t{n - 1}"] * (n % 5 > 0)}
            for n in range(900)
        ]
        plan = f"p{number}"
        await call("submit_plan", id=plan, title="x", tasks=tasks)
        print(plan, "running", flush=True)
        claimed = await call("claim_task", agent_id=agent)
        held = {"task_id": claimed["task"]["id"], "agent_id": agent}
        await call("complete_task", **held, attempt=claimed["attempt"])
        print(held["task_id"], "completed", flush=True)
        if number % 2:
            await call("cancel_task", task_id=plan)
            print(plan, "cancelled", flush=True)

asyncio.run(main())
"""


def kept(folder: Path) -> int:
    """How many blobs there are."""
    return sum(1 for path in (folder / "blobs").rglob("*") if path.is_file())


async def killed_after(folder: Path, number: int, chance: random.Random) -> dict[str, str]:
    """What a process told of plans and tasks before it was killed, at some moment."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, str(folder), str(number)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    told = [await child.stdout.readline() for _ in range(1 + chance.randrange(5))]
    assert all(told), "it ended by itself"
    # The command of the next plan is kept, or its event too; what names them may follow.
    enough = kept(folder) + chance.randrange(3)
    await until(lambda: kept(folder) >= enough, "the next plan")
    child.kill()
    told += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    return dict(line.decode().split() for line in told if line.endswith(b"\n"))


@pytest.mark.process
@pytest.mark.slow
async def test_plans_survive_a_process_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(4)
    told: dict[str, str] = {}
    for number in range(6):
        told |= await killed_after(tmp_path, number * 1000, chance)
        async with World(tmp_path) as world:
            await world.is_fold_of_log()
            for task_id, status in told.items():
                its = (await world.call("get_task", task_id=task_id))["task"]
                assert its["status"] == status or (status, its["status"]) == (
                    "running",
                    "cancelled",
                )
                assert its["children"] in (0, 900)
            await world.rebuilt_equal()
        summary = check_folder(tmp_path)
        assert summary["violations"] == []
        assert summary["events"]["PlanSubmitted"] >= sum(1 for one in told if "." not in one)
