"""The coordinator: an agent whose tasks consist of other agents' tasks and messages."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.coordination.ending import cancel_left_over
from agent_orchestration.workers.coordination.group_chat import GroupChatOptions, group_chat
from agent_orchestration.workers.coordination.handoff import HandoffOptions, handoff
from agent_orchestration.workers.coordination.lead import LeadOptions, lead
from agent_orchestration.workers.coordination.maker_checker import (
    MakerCheckerOptions,
    maker_checker,
)
from agent_orchestration.workers.coordination.options import (
    CAPABILITY,
    Options,
    final,
    read_options,
)
from agent_orchestration.workers.coordination.pipeline import PipelineOptions, pipeline
from agent_orchestration.workers.coordination.planner import PlanOptions, plan_goal
from agent_orchestration.workers.coordination.steps import Steps
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.hosting import register

AT_ONCE = 50
"""Tasks that one process holds at once: all that a coordinator does is wait."""
MOST_AT_ONCE = 1000
"""And all processes together."""
LEFT_OVER_SECONDS = 60.0
"""How often it looks for steps of tasks that have ended."""

logger = logging.getLogger(__name__)


class Way(NamedTuple):
    """A way of working: its options, and the function that takes its steps."""

    options: type[Options]
    run: Callable[[Steps, Any], Awaitable[Any]]


WAYS: Mapping[str, Way] = {
    "pipeline": Way(PipelineOptions, pipeline),
    "maker_checker": Way(MakerCheckerOptions, maker_checker),
    "handoff": Way(HandoffOptions, handoff),
    "lead": Way(LeadOptions, lead),
    "group_chat": Way(GroupChatOptions, group_chat),
    "plan": Way(PlanOptions, plan_goal),
}


class Coordinator:
    """Coordinates by the ways of working that a task's payload names: {"way", …options}.

    `caller` needs the rights of an operator: it creates, reads and cancels the steps.
    """

    def __init__(
        self,
        dispatcher: ToolCaller,
        agent_id: str = "coordinator",
        *,
        caller: Caller | None = None,
        ways: Mapping[str, Way] = WAYS,
    ) -> None:
        self.id = agent_id
        self.concurrency = AT_ONCE
        self.lease_seconds: int | None = None
        self.heartbeat_seconds: int | None = 60
        self._calls = PatientCalls(dispatcher, caller or Caller(), math.inf)
        self._ways = ways

    async def make_known(self, calls: PatientCalls) -> None:
        """See `HostedAgent`."""
        await register(
            calls,
            self.id,
            name=self.id,
            capabilities=[{"name": CAPABILITY}],
            max_concurrency=MOST_AT_ONCE,
            heartbeat_seconds=self.heartbeat_seconds,
            dedicated=True,
        )

    async def beside(self) -> None:
        """Cancel what is left of tasks that ended while nobody held them, again and again."""
        while True:
            try:
                await cancel_left_over(self._calls)
            except PlatformError as error:
                logger.warning("steps that are left over are not cancelled: %s", error)
            await asyncio.sleep(LEFT_OVER_SECONDS)

    async def carry_out(self, task: HeldTask) -> Any:
        """The `Handler` of a `Worker`: the result of the way of working. Where the task ends
        otherwise, what is open of its steps is cancelled; given back, they go on."""
        way, options = self._asked(task.payload)
        steps = Steps(task, self._calls, options.team_id)
        try:
            return await way.run(steps, options)
        except asyncio.CancelledError:
            if task.verdict == "cancel":
                await steps.cancel(f"task {task.id} was cancelled")
            raise
        except (PlatformError, TaskError) as error:
            if not error.retryable:
                await steps.cancel(f"task {task.id} failed")
            raise

    def _asked(self, payload: Any) -> tuple[Way, Options]:
        if not isinstance(payload, dict):
            raise final("invalid_input", "payload: must be an object with the member way")
        given = dict(cast("dict[str, Any]", payload))
        name = given.pop("way", None)
        way = self._ways.get(name) if isinstance(name, str) else None
        if way is None:
            raise final("invalid_input", f"way: must be one of {', '.join(self._ways)}")
        return way, read_options(way.options, given)
