"""Replaying a workflow on a small platform in memory, with its faults."""

import io
import json
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from rich.console import Console

from agent_orchestration.cli.run import run_workflow
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Busy, Corrupt, PlatformError, Rejected, Unavailable
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.plan import Plan, make_plan
from agent_orchestration.workers.replay import Replay
from agent_orchestration.workers.wfformat import Workflow, WorkflowTask, load_workflow
from tests.unit.platform_double import DoubleTask, PlatformDouble

FAST = 1e6
MUTATING = {"register_agent", "create_task", "claim_task", "complete_task", "fail_task"}


def sample() -> Path:
    with as_file(files("agent_orchestration") / "examples" / "album.json") as path:
        return path


def planned(run_id: str = "album-1") -> Plan:
    return make_plan(load_workflow(sample()), run_id, None)


def one_task(seconds: float) -> Plan:
    task = WorkflowTask(
        id="a", name="a", program="work", capability="work", runtime_seconds=seconds, parents=()
    )
    return make_plan(Workflow(name="one", description="", tasks=(task,)), "one", None)


def replay(platform: PlatformDouble, plan: Plan, patience: float = 60.0) -> Replay:
    calls = PatientCalls(platform, Caller(), patience)
    return Replay(calls, plan, FAST, lease_seconds=0.03)


async def test_every_task_is_completed_once_and_after_its_parents() -> None:
    platform, plan = PlatformDouble(), planned()
    assert await replay(platform, plan).run()
    assert sorted(platform.completed) == sorted(plan.ids.values())
    for task in plan.workflow.tasks:
        done = platform.completed.index(plan.ids[task.id])
        assert all(platform.completed.index(plan.ids[parent]) < done for parent in task.parents)


async def test_the_agents_go_when_the_run_is_over() -> None:
    platform, plan = PlatformDouble(), planned()
    await replay(platform, plan).run()
    assert platform.retired == {agent.id for agent in plan.agents}


async def test_a_lost_answer_is_asked_for_again_and_nothing_happens_twice() -> None:
    platform, plan = PlatformDouble(), planned()
    platform.after = lambda tool, number: (
        Unavailable("outcome_unknown", "lost") if tool in MUTATING and number == 1 else None
    )
    running = replay(platform, plan)
    assert await running.run()
    assert len(platform.completed) == len(plan.ids)
    assert {task.attempt for task in platform.tasks.values()} == {1}


async def test_a_busy_platform_is_asked_again() -> None:
    platform, plan = PlatformDouble(), one_task(1)
    platform.before = lambda tool, number: (
        Busy("busy", "later", retry_after=0.01) if tool == "claim_task" and number < 3 else None
    )
    assert await replay(platform, plan).run()


async def test_patience_ends() -> None:
    platform, plan = PlatformDouble(), one_task(1)
    platform.before = lambda tool, _number: (
        Unavailable("gone", "no log") if tool == "create_task" else None
    )
    with pytest.raises(Unavailable, match="no log"):
        await replay(platform, plan, patience=0.05).run()
    assert platform.retired == {agent.id for agent in plan.agents}


async def test_a_cancelled_task_is_given_up_at_the_next_heartbeat() -> None:
    platform, plan = PlatformDouble(), one_task(1e9)

    def cancel(task: DoubleTask) -> None:
        task.status = "cancelled"

    platform.on_heartbeat = cancel
    running = replay(platform, plan)
    assert not await running.run()
    assert running.progress.stopped == 1
    assert platform.completed == []


async def test_an_attempt_that_was_taken_back_is_not_reported() -> None:
    platform, plan = PlatformDouble(), one_task(0.1 * FAST)

    def give_back(task: DoubleTask) -> None:
        if task.attempt == 1:
            task.status, task.holder = "ready", None

    platform.on_heartbeat = give_back
    running = replay(platform, plan)
    assert await running.run()
    assert running.progress.stopped == 1
    assert platform.tasks["one.a"].attempt == 2


async def test_work_that_was_not_recorded_is_never_reported_as_done() -> None:
    platform, plan = PlatformDouble(), planned()
    platform.tasks["real"] = DoubleTask(
        id="real", title="real", requires=set(), depends_on=[], labels=[], payload={"order": 7}
    )
    running = replay(platform, plan)
    assert await running.run()
    assert running.progress.declined == 1
    assert "real" not in platform.completed


async def test_a_task_of_another_replay_is_replayed_as_it_was_recorded() -> None:
    platform, plan = PlatformDouble(), one_task(1)
    payload = {"replay": True, "workflow": "w", "task": "t", "runtime_seconds": 2.0}
    platform.tasks["other"] = DoubleTask(
        id="other", title="t", requires={"work"}, depends_on=[], labels=[], payload=payload
    )
    assert await replay(platform, plan).run()
    assert platform.completed == ["other", "one.a"]


async def test_tasks_that_others_did_are_told_of() -> None:
    platform, plan = PlatformDouble(), one_task(0.1 * FAST)

    def done_elsewhere(task: DoubleTask) -> None:
        task.status = "completed"

    platform.on_heartbeat = done_elsewhere
    running = replay(platform, plan)
    assert await running.run()
    assert running.progress.notes == ["1 tasks of this run were done by agents outside of it"]


async def test_the_same_run_id_goes_on_where_the_last_process_stopped() -> None:
    platform = PlatformDouble()
    platform.before = lambda tool, number: (
        Unavailable("gone", "no log") if tool == "complete_task" and number > 4 else None
    )
    with pytest.raises(Unavailable):
        await replay(platform, planned(), patience=0.0).run()
    platform.before = lambda _tool, _number: None
    for task in platform.tasks.values():  # what the end of their leases would do
        task.status = "ready" if task.status == "running" else task.status
    resumed = replay(platform, planned())
    assert await resumed.run()
    assert resumed.progress.found == len(platform.tasks) == len(platform.completed)


async def test_a_run_id_of_another_workflow_is_refused() -> None:
    platform = PlatformDouble()
    await replay(platform, one_task(1)).run()
    with pytest.raises(Rejected, match="was used for another workflow"):
        await replay(platform, one_task(2)).run()


async def test_a_description_that_somebody_wrote_stays() -> None:
    platform = PlatformDouble()
    platform.capabilities["work"] = "careful work"
    await replay(platform, one_task(1)).run()
    assert platform.capabilities == {"work": "careful work"}


async def test_what_waits_for_a_failed_task_does_not_hold_up_the_end() -> None:
    platform, plan = PlatformDouble(), planned()

    def refuse(tool: str, number: int) -> PlatformError | None:
        if tool == "claim_task":  # an operator's doing
            platform.tasks["album-1.sort"].status = "failed"
        return None

    platform.before = refuse
    running = replay(platform, plan)
    assert not await running.run()
    assert running.progress.counts["blocked"] > 0
    assert running.progress.counts["failed"] == 1


async def test_a_retired_agent_stops_and_says_so() -> None:
    platform, plan = PlatformDouble(), one_task(1)
    platform.before = lambda tool, _number: (
        Rejected("agent_retired", "retired by an operator") if tool == "claim_task" else None
    )
    running = replay(platform, plan)
    assert not await running.run()
    assert any("retired by an operator" in note for note in running.progress.notes)
    assert "no agent is left to work" in running.progress.notes


def _console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=120), out


async def _run(platform: PlatformDouble, *, as_json: bool, speed: float = FAST) -> tuple[int, str]:
    console, out = _console()
    code = await run_workflow(
        platform,
        sample(),
        speed=speed,
        agents=None,
        run_id="album-1",
        console=console,
        as_json=as_json,
    )
    return code, out.getvalue()


async def test_the_text_says_replay_and_shows_the_queries() -> None:
    code, text = await _run(PlatformDouble(), as_json=False)
    assert code == 0
    assert text.startswith("replay of photo-album")
    for part in ("13 completed", "overhead per task", "Critical path", "captions"):
        assert part in text
    assert text.count("MATCH (") == 3
    assert '{"run": "run=album-1"}' in text


async def test_the_json_is_one_document() -> None:
    code, text = await _run(PlatformDouble(), as_json=True)
    summary = json.loads(text)
    assert code == 0
    assert summary["replay"] is True
    assert summary["tasks"] == {"total": 13, "by_status": {"completed": 13}}
    assert summary["critical_path"]["recorded_seconds"] == 16.0
    assert summary["critical_path"]["tasks"] == ["import", "thumbnails_3", "captions", "album"]
    overhead = (summary["wall_seconds"] - summary["ideal_seconds"]) / 13
    assert summary["overhead_per_task_seconds"] == pytest.approx(overhead)
    assert len(summary["questions"]) == 3


async def test_the_overhead_of_a_resumed_run_is_not_known() -> None:
    platform = PlatformDouble()
    await _run(platform, as_json=True)
    _, text = await _run(platform, as_json=False)
    assert "the run was resumed" in text


async def test_an_unfinished_run_is_a_failure() -> None:
    platform = PlatformDouble()
    platform.before = lambda tool, _number: (
        Rejected("agent_draining", "draining") if tool == "claim_task" else None
    )
    code, text = await _run(platform, as_json=False)
    assert code == 1
    assert "note:" in text


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 1e10])
async def test_a_senseless_speed_is_refused_before_anything_is_created(speed: float) -> None:
    platform = PlatformDouble()
    with pytest.raises(Rejected, match="--speed"):
        await _run(platform, as_json=True, speed=speed)
    assert not platform.calls


@pytest.mark.parametrize(
    ("error", "said"), [(Corrupt("corrupt", "no"), True), (Rejected("strange", "no"), False)]
)
async def test_a_stopped_run_says_how_to_go_on_where_that_helps(
    error: PlatformError, said: bool
) -> None:
    platform, (console, out) = PlatformDouble(), _console()
    platform.before = lambda tool, _number: error if tool == "create_task" else None
    with pytest.raises(type(error)):
        await run_workflow(
            platform,
            sample(),
            speed=FAST,
            agents=None,
            run_id="r",
            console=console,
            as_json=False,
        )
    assert ("--run-id r" in out.getvalue()) is said
