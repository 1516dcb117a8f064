"""Tenants: the rules that the decisions about everything else of theirs follow."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.tenants import commands, decide, events, evolve, model, tools

MODULE = Module(
    "tenants",
    feed="agent_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
