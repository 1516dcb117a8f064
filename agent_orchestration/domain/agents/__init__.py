"""Agents: who does the work, what each can do and how much at once."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.agents import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.agents.index import (
    AgentsByCapability,
    AgentStatuses,
    KnownAgents,
    Silence,
)

MODULE = Module(
    "agents",
    feed="agent_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    indexes=(AgentsByCapability, AgentStatuses, KnownAgents),
    evolve_indexes=(Silence,),
)
