"""Plans: many tasks with their dependencies, submitted in one command."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.plans import commands, decide, events, evolve, model, tools

MODULE = Module(
    "plans",
    feed="task_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
)
