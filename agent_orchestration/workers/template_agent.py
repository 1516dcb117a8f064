"""Agents made from templates of kind `llm`, at work by a language model."""

import math
from typing import Any

import msgspec

from agent_orchestration.backends.llm import ChatModel
from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.resilience import CircuitBreaker
from agent_orchestration.workers.breaker_reports import report_breaker
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.llm_agent import LlmAgent
from agent_orchestration.workers.llm_settings import read_settings
from agent_orchestration.workers.llm_tools import Toolbox
from agent_orchestration.workers.paying import Purse
from agent_orchestration.workers.prices import PriceList
from agent_orchestration.workers.recording import Recordings


class TemplateAgent:
    """An agent that is known to the platform, for a `Host`."""

    def __init__(
        self,
        view: dict[str, Any],
        handler: LlmAgent,
        calls: PatientCalls,
        breaker: CircuitBreaker,
    ) -> None:
        self.id: str = view["id"]
        self.concurrency: int = view["max_concurrency"]
        self.lease_seconds: int | None = None
        self.heartbeat_seconds: int | None = view.get("heartbeat_seconds")
        self._handler = handler
        self._calls = calls
        self._breaker = breaker

    async def make_known(self, calls: PatientCalls) -> None:
        """It is known already."""

    async def beside(self) -> None:
        """Report how the breaker of its model is."""
        await report_breaker(self._calls, self.id, self._breaker)

    async def carry_out(self, task: HeldTask) -> Any:
        """See `LlmAgent`."""
        return await self._handler(task)


async def template_agent(
    dispatcher: ToolCaller,
    *,
    agent_id: str,
    template: str | None,
    model: ChatModel,
    default_model: str,
    toolbox: Toolbox,
    prices: PriceList,
    recordings: Recordings | None = None,
    caller: Caller | None = None,
) -> TemplateAgent:
    """The agent `agent_id`, made from the newest version of `template` where it does not exist.

    Raises `NotFound` where there is neither, `Rejected` where the agent is not of kind `llm`, was
    made from another template, or its template says what cannot be done.
    """
    caller = caller or Caller()
    calls = PatientCalls(dispatcher, caller, math.inf)
    try:
        view = (await calls("get_agent", agent_id=agent_id))["agent"]
    except NotFound:
        if template is None:
            raise
        view = (await calls("instantiate_agent", template=template, id=agent_id))["agent"]
    origin = view.get("template_name")
    if view["kind"] != "llm" or origin is None or template not in (None, origin):
        found = f"is of kind {view['kind']} and was made from {origin or 'no template'}"
        remedy = "choose another id with --agent"
        raise Rejected("another_agent", f"agent: {agent_id} {found}; {remedy}", field="agent")
    version = f"{origin}:{view['version']}"
    found = (await calls("list_templates", template_id=version))["templates"][0]
    settings = read_settings(version, found.get("settings"))
    own = msgspec.structs.replace(caller, principal=Principal(agent_id, Role.AGENT.value, agent_id))
    own_calls = PatientCalls(dispatcher, own, math.inf)
    tools = toolbox.chosen(settings.tools, own_calls)
    purse = Purse(own_calls, prices)
    handler = LlmAgent(model, settings, tools, default_model, purse, recordings=recordings)
    return TemplateAgent(view, handler, own_calls, model.breaker(handler.model))
