"""What happens to a call, from the tool to the graph, is in the log under one correlation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import format_trace_id

from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.joined import FolderDispatcher
from agent_orchestration.logs import LogFields
from agent_orchestration.measures import MESSAGE_SECONDS
from agent_orchestration.server.tool_calls import outcome
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.worker import Worker
from tests.integration.world import World, until
from tests.log_lines import LogLines, log_lines
from tests.traced import span_id, traced

CANARY = "canary-71c2"
OUTCOMES = "agent_orchestration.pipeline.outcome_lines"
WORKER = "agent_orchestration.workers.worker"


async def work_off(world: World, agent_id: str, *task_ids: str) -> None:
    """A worker for that agent carries the tasks out."""
    done: list[str] = []

    async def handler(task: HeldTask) -> Any:
        done.append(task.id)
        return {"said": CANARY}

    worker = Worker(world.platform, agent_id, handler)
    running = asyncio.create_task(worker.run())
    await until(lambda: sorted(done) == sorted(task_ids), "the tasks to be carried out")
    worker.drain()
    await running


def said(lines: LogLines, logger: str, correlation: str) -> list[str]:
    return [line["message"] for line in lines.all(logger=logger, correlation=correlation)]


async def test_a_plan_is_followed_by_its_correlation(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.task("other")
        with log_lines("DEBUG") as lines:
            parts = [{"id": "part", "title": "A", "payload": CANARY}]
            plan = {"id": "p", "title": CANARY, "tasks": parts}
            await world.platform.call("submit_plan", plan, Caller(correlation="story"))
            shown = await world.call("get_task", task_id="p.part")
            assert shown["task"]["correlation"] == "story"
            await work_off(world, "ann", "p.part", "other")
            await world.settled()
    assert said(lines, OUTCOMES, "story") == [
        "SubmitPlan: accepted",
        "PlanSubmitted is in the graph",
        # What the worker says of the task belongs to the plan as well.
        "CompleteTask: accepted",
        "TaskCompleted is in the graph",
    ]
    assert said(lines, WORKER, "story") == ["task p.part: completed"]
    [line] = lines.all(command="SubmitPlan")
    assert (line["tenant"], line["seq"]) == ("default", 3)
    [folded] = lines.all(event="PlanSubmitted")
    assert folded["command_id"] == line["command_id"]
    assert CANARY not in lines.text


async def test_lines_about_what_is_traced_name_its_trace(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        with log_lines("DEBUG") as lines, traced() as spans:
            # Nobody sent a trace: it begins with the call.
            answer = await outcome(
                world.platform, "create_task", {"id": "t", "title": "T"}, Caller()
            )
            assert isinstance(answer, dict)
            await work_off(world, "ann", "t")
            await world.settled()
            call = spans.named("tools/call create_task")
    trace = format_trace_id(call.context.trace_id) if call.context else ""
    assert {line["message"] for line in lines.all(trace_id=trace)} == {
        "create_task: answered",
        "CreateTask: accepted",
        "TaskCreated is in the graph",
        "task t: completed",
        "CompleteTask: accepted",
        "TaskCompleted is in the graph",
    }
    assert lines.all(tool="create_task")[0]["span_id"] == span_id(call)


async def test_work_that_began_in_a_call_does_not_belong_to_it_for_ever(tmp_path: Path) -> None:
    dispatcher = FolderDispatcher(Config(data=tmp_path), serve=False)
    try:
        with LogFields(correlation="first"):
            await dispatcher.call("create_task", {"title": "T"}, Caller())
        with log_lines("DEBUG") as lines:
            await dispatcher.call("create_task", {"title": "U"}, Caller())
    finally:
        await dispatcher.stop()
    assert lines.all(command="CreateTask")
    assert not lines.all(correlation="first")


async def test_only_what_is_rare_is_said_at_info(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        with log_lines() as lines:
            await world.agent("ann")
            await world.task("t")
            await work_off(world, "ann", "t")
            await world.settled()
    assert lines.all() == []


async def test_a_refused_command_says_why_by_its_code(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("t")
        with log_lines("DEBUG") as lines, pytest.raises(Rejected):
            await world.task("t")
    [line] = lines.all(command="CreateTask")
    assert (line["outcome"], line["code"]) == ("failed", "already_exists")
    assert line["task_id"] == "t"


async def test_a_message_that_can_be_read_is_said_with_for_whom_and_after_how_long(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        before = sum(MESSAGE_SECONDS.values[()].counts)
        with log_lines() as lines:
            call = world.platform.call
            talk = Caller(correlation="talk")
            await call("open_conversation", {"id": "c", "topic": "T", "text": CANARY}, talk)
            words = {"conversation_id": "c", "text": CANARY, "to": "ann"}
            await call("send_message", words, talk)
            await world.call("close_conversation", conversation_id="c")
            await world.settled()
    first, second = lines.all(correlation="talk")
    assert (first["message_id"], first["recipient"]) == ("c:1", None)
    assert (second["message_id"], second["recipient"]) == ("c:2", "ann")
    assert all(0 <= line["delivery_time_ms"] < 60_000 for line in (first, second))
    assert len(lines.all()) == 2
    assert sum(MESSAGE_SECONDS.values[()].counts) == before + 2
    assert CANARY not in lines.text
