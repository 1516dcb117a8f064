"""A company whose coordinator can be stopped after each of its steps, and what it did."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import NotFound
from agent_orchestration.workers import FunctionAgent, Host, TaskError, agent
from agent_orchestration.workers.coordination.agent import WAYS, Coordinator, Way
from agent_orchestration.workers.hosting import HostedAgent
from tests.integration.world import World

STEPS = {
    "create_task": "id",
    "submit_plan": "id",
    "open_conversation": "id",
    "send_message": "idempotency_key",
}
"""What a coordinator changes, and the argument that names it."""
PATIENCE = 30.0
Hosted = FunctionAgent[..., Any]


class Interrupted:
    """The platform of a coordinator that is stopped after each of its steps, before it hears the
    answer; a step is one that was not taken before."""

    def __init__(self, platform: ToolCaller) -> None:
        self._platform = platform
        self.taken: list[str] = []
        self.stop: Callable[[], None] = lambda: None
        self._cut = asyncio.Event()

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        answer = await self._platform.call(tool, arguments, caller)
        if tool in STEPS:
            step = f"{tool} {arguments[STEPS[tool]]}"
            if step not in self.taken:
                self.taken.append(step)
                self.stop()
                await self._cut.wait()
        return answer

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        return await self._platform.read_blob(digest, caller)

    def begin(self, stop: Callable[[], None]) -> None:
        """Another coordinator begins; what the one before waited for comes too late."""
        self._cut.set()
        self._cut = asyncio.Event()
        self.stop = stop


class Participant:
    """An agent that gives its answers in order; an exception is raised. It keeps what it was asked
    for, and the last answer is given again and again."""

    def __init__(self, agent_id: str, capability: str, *answers: Any) -> None:
        self.asked: list[Any] = []
        self._answers = answers
        made = agent(id=agent_id, capabilities=[capability], concurrency=5)
        self.agent: Hosted = made(self._do)

    async def _do(self, payload: Any = None) -> Any:
        self.asked.append(payload)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def broken(why: str = "it broke") -> TaskError:
    """A failure for good."""
    return TaskError(why, error_type="broken", retryable=False)


class Company(World):
    """A platform with participants at work, and a coordinator for the task `c`."""

    ways: Mapping[str, Way] = WAYS

    @contextlib.asynccontextmanager
    async def at_work(self, *participants: Participant) -> AsyncGenerator[None]:
        """The participants are known and work, until the end of the block."""
        async with self._hosting(*(one.agent for one in participants)):
            yield

    @contextlib.asynccontextmanager
    async def coordinator(self) -> AsyncGenerator[None]:
        """A coordinator works until the end of the block."""
        async with self._hosting(Coordinator(self.platform, ways=self.ways)):
            yield

    @contextlib.asynccontextmanager
    async def _hosting(self, *agents: HostedAgent) -> AsyncGenerator[None]:
        host = Host(self.platform, agents)
        await host.make_known()
        work = asyncio.create_task(host.run())
        try:
            yield
        finally:
            host.stop()
            await work

    async def begin(self, way: str, *, lease_seconds: int = 60, **options: Any) -> None:
        """Create the coordinating task."""
        requires = [{"capability": "coordination"}]
        payload = {"way": way, **options}
        await self.task("c", requires=requires, payload=payload, lease_seconds=lease_seconds)

    async def until(self, task_id: str, condition: Callable[[dict[str, Any]], bool]) -> Any:
        """A task once it is there and the condition holds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(NotFound):
                    task = (await self.call("get_task", task_id=task_id))["task"]
                    if condition(task):
                        return task
                await self.call("get_history", after=await self._seq(), wait_seconds=0.2)

    async def question(self, nth: int) -> int:
        """The number of the n-th question in the conversation, once it was asked."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(NotFound):
                    page = await self.call("list_messages", conversation_id="c", limit=200)
                    asked = [m["number"] for m in page["messages"] if m["kind"] == "question"]
                    if len(asked) >= nth:
                        return asked[nth - 1]
                await self.call("get_history", after=await self._seq(), wait_seconds=0.2)

    async def _seq(self) -> int:
        return (await self.call("get_overview"))["seq"]

    async def coordinate(self, *, interrupted: bool = False) -> dict[str, Any]:
        """Let coordinators work until the task `c` has ended; the task. `interrupted`: each of them
        is stopped after its first step that is new, and another goes on."""
        calls = Interrupted(self.platform)
        ended = asyncio.create_task(self._end_of("c"))
        async with asyncio.timeout(PATIENCE):
            while not ended.done():
                own = calls if interrupted else self.platform
                host = Host(self.platform, [Coordinator(own, ways=self.ways)])
                calls.begin(host.stop)
                work = asyncio.create_task(host.run())
                await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
                host.stop()
                await work
        calls.begin(lambda: None)
        return await ended

    async def _end_of(self, task_id: str) -> dict[str, Any]:
        while not (await self.call("wait_for_tasks", ids=[task_id], seconds=50))["finished"]:
            pass
        return (await self.call("get_task", task_id=task_id))["task"]

    async def steps(self) -> dict[str, tuple[str, int]]:
        """Status and attempt of all tasks but the coordinating one, by id."""
        found = (await self.call("list_tasks", limit=200))["tasks"]
        return {t["id"]: (t["status"], t["attempt"]) for t in found if t["id"] != "c"}

    async def said(self) -> list[tuple[str, str, Any]]:
        """Author, text and data of every message about the task `c`."""
        try:
            page = await self.call("list_messages", conversation_id="c", limit=200)
        except NotFound:
            return []
        return [(one["author"], one["text"], one.get("data")) for one in page["messages"]]


async def both(
    folder: Path,
    play: Callable[[Company, bool], Any],
) -> tuple[Any, Any]:
    """What a story comes to without interruption, and interrupted after each step."""
    told: list[Any] = []
    for interrupted in (False, True):
        place = folder / str(interrupted)
        place.mkdir()
        async with Company(place) as company:
            told.append(await play(company, interrupted))
    return told[0], told[1]
