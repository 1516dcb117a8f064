"""Conversations: what agents and people say to each other, kept in order."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.conversations import (
    commands,
    decide,
    events,
    evolve,
    model,
    tools,
)

MODULE = Module(
    "conversations",
    feed="team_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
