"""Insight: questions about everything at once. It records nothing of its own."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.insight import commands, decide, events, evolve, model, tools

MODULE = Module(
    "insight",
    feed="system_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
