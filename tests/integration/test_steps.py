"""Durable steps: what each does, and what a way of working of one's own may rely on."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import NotFound, Unavailable
from agent_orchestration.core.types import BLOB_THRESHOLD
from agent_orchestration.workers.coordination.agent import WAYS, Way
from agent_orchestration.workers.coordination.options import Options, read_options
from agent_orchestration.workers.coordination.steps import StepFailed, Steps
from tests.integration.coordinating import Company, Participant, broken

Run = Callable[[Steps, Options], Awaitable[Any]]
LARGE = "x" * (BLOB_THRESHOLD + 1)
AWAY = [{"capability": "away"}]


@contextlib.asynccontextmanager
async def company_of(folder: Path, run: Run, *participants: Participant) -> AsyncGenerator[Company]:
    """A company whose only way of working is this one, and whose task `c` has been created."""
    async with Company(folder) as company:
        company.ways = {"own": Way(Options, run)}
        async with company.at_work(*participants):
            await company.begin("own", goal="x")
            yield company


async def test_results_and_messages_of_any_size(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        asked = {"title": "T", "agent_id": "ann"}
        large = await steps.result("large", **asked, result_schema={"type": "string"})
        said = await steps.say("told", "Hello", data={"large": large})
        again = await steps.say("told", "Something else")
        assert said == again
        return [large, said["data"]["large"]]

    async with company_of(tmp_path, run, Participant("ann", "write", LARGE)) as company:
        task = await company.coordinate(interrupted=True)
        assert len(await company.said()) == 1
    assert task["result"]["bytes"] > 2 * len(LARGE)


async def test_a_step_that_fails_may_be_caught(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        try:
            await steps.result("try", title="T", agent_id="ann")
        except StepFailed as failed:
            return [failed.name, failed.status, failed.error, failed.cause]

    ann = Participant("ann", "write", broken("no ink"))
    async with company_of(tmp_path, run, ann) as company:
        task = await company.coordinate(interrupted=True)
    assert task["result"] == ["try", "failed", "no ink", "broken"]
    assert len(ann.asked) == 1


async def test_a_cancelled_step_fails(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        return await steps.result("away", title="T", requires=[{"capability": "away"}])

    async with company_of(tmp_path, run) as company, company.coordinator():
        await company.until("c.away", lambda one: one["status"] == "ready")
        await company.call("cancel_task", task_id="c.away", reason="not now")
        task = await company.until("c", lambda one: one["status"] == "failed")
    assert task["error"] == "step away is cancelled (cancelled): not now"


async def test_a_step_of_an_agent_that_retires_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_orchestration.workers.coordination.steps.WAIT_SECONDS", 0.1)

    async def run(steps: Steps, _options: Options) -> Any:
        return await steps.result("try", title="T", agent_id="ann")

    async with company_of(tmp_path, run) as company:
        await company.call("register_agent", id="ann", name="Ann", kind="human", capabilities=[])
        async with company.coordinator():
            await company.until("c.try", lambda one: one["status"] == "ready")
            await company.call("retire_agent", agent_id="ann")
            task = await company.until("c", lambda one: one["status"] == "failed")
    assert task["error"] == "step try is cancelled (cancelled): agent ann has retired"


async def test_a_passing_failure_is_tried_again(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        soon = {"max_attempts": 2, "initial_seconds": 0}
        return await steps.result("try", title="T", agent_id="ann", retry=soon)

    ann = Participant("ann", "write", ValueError("first"), "second")
    async with company_of(tmp_path, run, ann) as company:
        task = await company.coordinate()
        assert await company.steps() == {"c.try": ("completed", 2)}
    assert task["result"] == "second"


async def test_somebody_elses_task_is_no_step(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        return await steps.result("try", title="T", agent_id="ann")

    ann = Participant("ann", "write", "done")
    async with company_of(tmp_path, run, ann) as company:
        await company.task("c.try", requires=[{"capability": "away"}])
        task = await company.coordinate()
        assert (await company.steps())["c.try"] == ("ready", 0)
    assert task["error_type"] == "id_taken"
    assert task["error"].startswith("id: task c.try is somebody else's")


async def test_somebody_elses_plan_is_no_step(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        return await steps.plan(1, {"title": "P", "tasks": [{"id": "x"}]})

    async with company_of(tmp_path, run) as company:
        plan = {"id": "c-1", "title": "Another", "tasks": [{"id": "x", "requires": AWAY}]}
        await company.call("submit_plan", **plan)
        task = await company.coordinate()
        assert (await company.steps())["c-1.x"] == ("ready", 0)
    assert task["error_type"] == "id_taken"


class Behind:
    """A platform whose answer to a new task is lost, and whose graph has it only later."""

    def __init__(self, platform: ToolCaller) -> None:
        self._platform = platform
        self._unknown = 3

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        if tool == "get_task" and arguments["task_id"] == "c.try" and self._unknown:
            self._unknown -= 1
            raise NotFound("unknown_task", "task_id: there is no task c.try")
        answer = await self._platform.call(tool, arguments, caller)
        if tool == "create_task" and self._unknown == 3:
            raise Unavailable("graph_behind", "the graph is behind", retry_after=0)
        return answer

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        return await self._platform.read_blob(digest, caller)


async def test_a_step_that_the_graph_does_not_have_yet_is_waited_for(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        steps.calls.dispatcher = Behind(steps.calls.dispatcher)
        return await steps.result("try", title="T", agent_id="ann")

    async with company_of(tmp_path, run, Participant("ann", "write", "done")) as company:
        task = await company.coordinate()
    assert task["result"] == "done"


async def test_work_goes_on_after_the_conversation_was_closed(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        said = await steps.say("begin", "Here we go.")
        await steps.result("away", title="T", requires=AWAY)
        return said["text"]

    async with company_of(tmp_path, run) as company:
        async with company.coordinator():
            await company.until("c.away", lambda one: one["status"] == "ready")
            await company.call("close_conversation", conversation_id="c")
        async with company.coordinator(), company.at_work(Participant("bob", "away", "done")):
            task = await company.until("c", lambda one: one["status"] in ("completed", "failed"))
    assert (task["attempt"], task.get("result")) == (2, "Here we go.")


async def test_tasks_of_others_with_the_label_of_steps_stay(tmp_path: Path) -> None:
    async with Company(tmp_path) as company:
        await company.task("over", requires=AWAY)
        await company.call("cancel_task", task_id="over")
        for task_id, label in (("one", "Q3 launch"), ("two", "over"), ("over.step", "over")):
            await company.task(task_id, requires=AWAY, labels={"coordination": label})
        async with company.coordinator():
            await company.until("over.step", lambda one: one["status"] == "cancelled")
            assert {one: status for one, (status, _) in (await company.steps()).items()} == {
                "over": "cancelled",
                "one": "ready",
                "two": "ready",
                "over.step": "cancelled",
            }


async def test_what_was_found_out_stays_as_it_was(tmp_path: Path) -> None:
    found = iter(range(9))

    async def find() -> dict[str, Any]:
        return {"found": next(found)}

    async def run(steps: Steps, _options: Options) -> Any:
        first = await steps.recorded("look", "Looked.", find)
        await steps.result("do", title="T", agent_id="ann")
        return [first["found"], (await steps.recorded("look", "Looked.", find))["found"]]

    async with company_of(tmp_path, run, Participant("ann", "write", "done")) as company:
        task = await company.coordinate(interrupted=True)
    assert task["given_back"] >= 2
    assert task["result"] == [0, 0]


async def test_an_answer_is_waited_for(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        asked = await steps.say("ask", "Which?", kind="question", to="ann")
        answer = await steps.answer_to(asked["number"], lambda one: one["author"] == "ann")
        return answer["text"]

    async with company_of(tmp_path, run, Participant("ann", "write")) as company:
        working = asyncio.create_task(company.coordinate(interrupted=True))
        number = await company.question(1)
        reply = {"conversation_id": "c", "reply_to": number}
        for more in ({"agent_id": "ann"}, {"kind": "answer"}):
            await company.call("send_message", **reply, **more, text="No answer of hers.")
        say = {"agent_id": "ann", "kind": "answer", "text": "This."}
        await company.call("send_message", **reply, **say)
        assert (await working)["result"] == "This."


async def test_a_closed_conversation_answers_nothing(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        asked = await steps.say("ask", "Which?", kind="question")
        return await steps.answer_to(asked["number"])

    async with company_of(tmp_path, run) as company, company.coordinator():
        await company.question(1)
        await company.call("close_conversation", conversation_id="c")
        task = await company.until("c", lambda one: one["status"] == "failed")
    assert task["error_type"] == "conversation_closed"


async def test_a_failure_cancels_the_steps_that_are_open(tmp_path: Path) -> None:
    async def run(steps: Steps, _options: Options) -> Any:
        async with asyncio.TaskGroup() as group:
            away = steps.result("away", title="T", requires=[{"capability": "away"}])
            other = group.create_task(away)
            with pytest.raises(StepFailed) as failed:
                await steps.result("try", title="T", agent_id="ann")
            other.cancel()
        raise failed.value

    async with company_of(tmp_path, run, Participant("ann", "write", broken())) as company:
        task = await company.coordinate()
        assert (await company.steps())["c.away"][0] == "cancelled"
    assert task["error_type"] == "step_failed"


async def test_two_attempts_at_the_same_time_take_each_step_once(tmp_path: Path) -> None:
    """One was cut off from the platform and does not know yet that another has its task."""
    found = iter(range(9))

    async def attempt(steps: Steps, text: str) -> Any:
        async def find() -> dict[str, Any]:
            return {"found": next(found)}

        first = await steps.recorded("look", "Looked.", find)
        result = await steps.result("do", title=text, agent_id="ann")
        return [first["found"], result, (await steps.say("tell", text))["text"]]

    async def run(steps: Steps, _options: Options) -> Any:
        other = Steps(steps.task, steps.calls)
        return await asyncio.gather(attempt(steps, "one"), attempt(other, "two"))

    async with company_of(tmp_path, run, Participant("ann", "write", "done")) as company:
        task = await company.coordinate()
        assert await company.steps() == {"c.do": ("completed", 1)}
        assert len(await company.said()) == 2
    one, other = task["result"]
    assert one == other


async def test_a_step_that_cannot_be_created_cancels_those_beside_it(tmp_path: Path) -> None:
    given = [{"title": "T", "description": "d", "to": name} for name in ("away", "eve")]
    lead = Participant("ann", "lead", {"delegations": given})
    async with Company(tmp_path) as company, company.at_work(lead):
        members = [{"capability": "away"}, {"agent_id": "eve"}]
        await company.begin("lead", goal="x", lead={"agent_id": "ann"}, members=members)
        task = await company.coordinate()
        assert (await company.steps())["c.task-1-1"][0] == "cancelled"
    assert task["error_type"] == "unknown_agent"


async def test_an_id_has_to_leave_room_for_those_of_the_steps(tmp_path: Path) -> None:
    async with Company(tmp_path) as company, company.coordinator():
        long = "c" * 61
        requires = [{"capability": "coordination"}]
        await company.task(long, requires=requires, payload={"way": "plan", "goal": "x"})
        task = await company.until(long, lambda one: one["status"] == "failed")
    assert task["error_type"] == "invalid_input"
    assert task["error"] == "id: the id of a coordinating task has at most 60 characters"


# ── what the document says


DOCUMENT = Path(__file__).parents[2] / "docs" / "ways-of-working.md"


def blocks(language: str) -> list[str]:
    """The document's blocks of code in that language."""
    text = DOCUMENT.read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


async def test_the_documents_own_way_of_working(tmp_path: Path) -> None:
    own: dict[str, Any] = {}
    exec("\n".join(blocks("python")), own)
    people = [Participant("ann", "vote", True), Participant("bob", "vote", False)]
    async with Company(tmp_path) as company:
        company.ways = {"vote": Way(own["Vote"], own["vote"])}
        async with company.at_work(*people):
            await company.begin("vote", goal="Shall we?", voters=["ann", "bob"])
            task = await company.coordinate(interrupted=True)
        [(_, text, _)] = await company.said()
    assert task["result"] == {"yes": 1, "no": 1}
    assert text == "1 of 2 say yes."
    assert [len(one.asked) for one in people] == [1, 1]


def test_the_documents_options_fit() -> None:
    ways = ("pipeline", "maker_checker", "handoff", "lead", "group_chat")
    for way, example in zip(ways, blocks("json"), strict=True):
        read_options(WAYS[way].options, {"goal": "x", **json.loads(example)})
