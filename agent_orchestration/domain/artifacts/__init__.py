"""Artifacts: what tasks produced besides their results, kept as they were made."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.artifacts import (
    commands,
    decide,
    events,
    evolve,
    model,
    tools,
)

MODULE = Module(
    "artifacts",
    feed="task_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
