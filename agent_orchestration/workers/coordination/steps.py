"""Durable steps: the tasks and messages that a coordinating task consists of, each with a name.

A coordinating function is run from its beginning by every attempt. A step that was taken before is
found by its name and not taken again, so the function has to come to the same names in the same
order: what it finds out elsewhere, and goes by, belongs into `recorded`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from agent_orchestration.core.errors import Conflict, NotFound, Rejected
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.coordination.ending import LABEL, cancel_steps
from agent_orchestration.workers.held import HeldTask, TaskError, printable
from agent_orchestration.workers.result_schema import RESULT_SCHEMA, misfit

LONGEST_ID = 60
"""Characters of a coordinating task's id: those of its steps, plans and conversation begin with
it."""
STEP = "step"
"""The member of a message's data that names the step."""
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.2
PAGE = 200
RETRY: Mapping[str, Any] = {"max_attempts": 3}
INVALID_RESULT = "invalid_result"

Message = dict[str, Any]
Requires = Sequence[Mapping[str, Any]]


class StepFailed(TaskError):
    """A step did not complete: `status` is failed or cancelled, or completed where its result does
    not fit; `error` says why and `cause` is its error type. Where nobody catches it, the
    coordinating task fails with the error type `step_failed`."""

    def __init__(self, name: str, status: str, error: str, error_type: str) -> None:
        said = f"step {name} is {status} ({error_type}): {error}"
        super().__init__(said, error_type="step_failed", retryable=False)
        self.name = name
        self.status = status
        self.error = error
        self.cause = error_type


class Done(msgspec.Struct, frozen=True):
    """What came of a step, and which agent did it."""

    result: Any
    agent_id: str


class Steps:
    """The steps of `task`. `calls` needs the rights of an operator; `team_id` is the team whose
    members do the steps (None: that of the task, if it has one).

    Raises `TaskError` where the task's id is too long for those of its steps.
    """

    def __init__(self, task: HeldTask, calls: PatientCalls, team_id: str | None = None) -> None:
        if len(task.id) > LONGEST_ID:
            problem = f"id: the id of a coordinating task has at most {LONGEST_ID} characters"
            raise TaskError(problem, error_type="invalid_input", retryable=False)
        self.id = task.id
        self.task = task
        self.calls = calls
        self.team_id: str | None = team_id or task.view.get("team_id")
        self._said: dict[tuple[str, str | None], Message] | None = None
        self._creating: set[asyncio.Task[None]] = set()

    async def result(self, name: str, **asked: Any) -> Any:
        """The result of a step; see `done`."""
        return (await self.done(name, **asked)).result

    async def done(
        self,
        name: str,
        *,
        title: str,
        description: str | None = None,
        agent_id: str | None = None,
        requires: Requires | None = None,
        payload: Mapping[str, Any] | None = None,
        result_schema: Mapping[str, Any] | None = None,
        retry: Mapping[str, Any] | None = None,
    ) -> Done:
        """Have a task done and wait for it, however long; one that was created before is not
        created again.

        The arguments are those of `create_task`; `retry` is three attempts by default. The result
        has to fit `result_schema`, which whoever does the task is told in its payload.
        Raises `StepFailed` where it does not complete or does not fit, and `Rejected` or `NotFound`
        where the task cannot be created.
        """
        given = dict(payload or {})
        if result_schema is not None:
            given[RESULT_SCHEMA] = result_schema
        step_id = f"{self.id}.{name}"
        asked = {
            "title": title,
            "description": description,
            "agent_id": agent_id,
            "requires": requires,
            "payload": given or None,
            "retry": retry or RETRY,
            "team_id": self.team_id,
            "labels": {LABEL: self.id},
        }
        await self._created("create_task", step_id, asked)
        view = await self.ended(step_id, agent_id)
        if view["status"] != "completed":
            error = view.get("error") or view.get("reason") or "no reason was given"
            raise StepFailed(name, view["status"], error, view.get("error_type", view["status"]))
        result = await self.calls.whole(view.get("result"))
        if result_schema is not None and (problem := misfit(result, result_schema)) is not None:
            raise StepFailed(name, "completed", problem, INVALID_RESULT)
        return Done(result, view["agent_id"])

    async def plan(self, number: int, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Have a plan carried out; the plan as a task at its end. Its id is `<task>-<number>`, its
        members are the arguments of `submit_plan`."""
        plan_id = f"{self.id}-{number}"
        await self._created("submit_plan", plan_id, {**plan, "team_id": self.team_id})
        return await self.ended(plan_id)

    async def say(
        self,
        name: str,
        text: str,
        *,
        kind: str = "message",
        to: str | None = None,
        data: Mapping[str, Any] | None = None,
        agent_id: str | None = None,
    ) -> Message:
        """Say something in the task's conversation, as the operator or that agent; the message.
        What was said before under that name is not said again, and answered as it was then."""
        said = await self._messages()
        if (name, agent_id) not in said:
            # `Conflict`: an attempt that was cut off a moment ago has said it in other words.
            with contextlib.suppress(Conflict):
                await self.calls(
                    "send_message",
                    conversation_id=self.id,
                    text=printable(text, lines=True) or "(nothing)",
                    kind=kind,
                    to=to,
                    data={**(data or {}), STEP: name},
                    agent_id=agent_id,
                    idempotency_key=f"{self.id}:{name}",
                )
            said = await self._messages(
                after=max((one["number"] for one in said.values()), default=0)
            )
        return said[name, agent_id]

    async def recorded(
        self, name: str, text: str, find: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        """What `find` answered the first time, kept as the data of a message: for what may be
        different when it is asked again."""
        known = (await self._messages()).get((name, None))
        message = known or await self.say(name, text, kind="note", data=await find())
        return message["data"]

    async def answer_to(
        self, number: int, accept: Callable[[Message], bool] = lambda _answer: True
    ) -> Message:
        """Wait for the first answer to the message with that number that is accepted. Raises
        `TaskError` where the conversation is closed instead."""
        after = number
        while True:
            page = await self.calls(
                "list_messages",
                conversation_id=self.id,
                after=after,
                limit=PAGE,
                wait_seconds=WAIT_SECONDS,
            )
            for message in page["messages"]:
                if message["kind"] == "answer" and message.get("reply_to") == number:
                    answer = await self._with_data(message)
                    if accept(answer):
                        return answer
            after = page["next_after"]
            if page["status"] == "closed" and not page["messages"]:
                problem = f"conversation {self.id} was closed before message {number} was answered"
                raise TaskError(problem, error_type="conversation_closed", retryable=False)

    async def ended(self, task_id: str, agent_id: str | None = None) -> dict[str, Any]:
        """The task once it is finished. One that is meant for an agent that has retired meanwhile
        is cancelled: nobody else would do it."""
        while True:
            waited = await self.calls("wait_for_tasks", ids=[task_id], seconds=WAIT_SECONDS)
            if waited["finished"]:
                return (await self.calls("get_task", task_id=task_id))["task"]
            if waited["unknown"]:  # the graph is behind: what is unknown is not waited for
                await asyncio.sleep(PAUSE_SECONDS)
            elif agent_id is not None:
                agent = (await self.calls("get_agent", agent_id=agent_id))["agent"]
                if agent["status"] == "retired":
                    with contextlib.suppress(Rejected):  # it has just ended
                        reason = f"agent {agent_id} has retired"
                        await self.calls("cancel_task", task_id=task_id, reason=reason)

    async def cancel(self, reason: str) -> None:
        """Cancel what is open of the steps."""
        if self._creating:
            await asyncio.wait(self._creating)
        await cancel_steps(self.calls, self.id, reason)

    async def _created(self, tool: str, task_id: str, asked: Mapping[str, Any]) -> None:
        """Create it, unless an earlier attempt did. Once asked for it will be there, so one that
        is cancelled meanwhile has to know of it."""
        creating = asyncio.create_task(self._create(tool, task_id, asked))
        self._creating.add(creating)
        creating.add_done_callback(self._creating.discard)
        await asyncio.shield(creating)

    async def _create(self, tool: str, task_id: str, asked: Mapping[str, Any]) -> None:
        try:
            await self.calls(tool, id=task_id, **asked)
        except Rejected as error:
            if error.code != "already_exists":
                raise
            if not await self._is_own(task_id):
                problem = f"id: task {task_id} is somebody else's; cancel this one, and ask anew"
                raise TaskError(problem, error_type="id_taken", retryable=False) from error

    async def _is_own(self, task_id: str) -> bool:
        """Whether a task or plan that is there is one of the steps."""
        mine = f"{LABEL}={self.id}"
        found = await self._known(task_id)
        if not found["children"]:
            return mine in found["labels"]
        # A plan bears no label, but its tasks do.
        return bool(
            (await self.calls("list_tasks", parent_id=task_id, label=mine, limit=1))["tasks"]
        )

    async def _known(self, task_id: str) -> dict[str, Any]:
        """A task that was decided; the graph may not have it yet."""
        while True:
            try:
                return (await self.calls("get_task", task_id=task_id))["task"]
            except NotFound:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _open(self) -> None:
        """The conversation is there. One that was closed can be read: only who has more to say in
        it is refused."""
        try:
            await self.calls(
                "open_conversation",
                id=self.id,
                topic=self.task.title,
                task_id=self.id,
                team_id=self.team_id,
            )
        except Rejected as error:
            found = await self.calls("get_conversation", conversation_id=self.id)
            if found["conversation"].get("task_id") != self.id:
                raise error

    async def _messages(self, after: int | None = None) -> dict[tuple[str, str | None], Message]:
        """What was said by the name of its step and the agent that said it; read once, and those
        with higher numbers than `after` again."""
        if self._said is None:
            await self._open()
            self._said, after = {}, 0
        while after is not None:
            page = await self.calls(
                "list_messages", conversation_id=self.id, after=after, limit=PAGE
            )
            for message in page["messages"]:
                spoken = await self._with_data(message)
                data: object = spoken.get("data")
                if isinstance(data, dict) and STEP in data:
                    speaker = spoken["author"] if spoken["author_kind"] == "agent" else None
                    name = str(cast("dict[str, Any]", data)[STEP])
                    self._said.setdefault((name, speaker), spoken)
            after = page["next_after"] if len(page["messages"]) == PAGE else None
        return self._said

    async def _with_data(self, message: Message) -> Message:
        return {**message, "data": await self.calls.whole(message.get("data"))}
