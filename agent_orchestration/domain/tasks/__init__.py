"""Tasks: the work, who may do it, who does it, and how it ends."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.tasks import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.tasks.index import (
    Children,
    Dependents,
    ReadyTasks,
    TaskDeadlines,
    TasksByAgent,
    TaskStatuses,
)

MODULE = Module(
    "tasks",
    feed="task_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    indexes=(ReadyTasks, TasksByAgent, TaskStatuses),
    evolve_indexes=(Dependents, Children, TaskDeadlines),
)
