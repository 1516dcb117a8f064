"""Capabilities: what agents can do and tasks require."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.capabilities import commands, decide, events, evolve, model, tools

MODULE = Module(
    "capabilities",
    feed="agent_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
