"""Teams: agents chosen for a goal, and the tasks that only they may do."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.teams import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.teams.index import TeamMembers, TeamStatuses, TeamTasks

MODULE = Module(
    "teams",
    feed="team_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    indexes=(TeamMembers, TeamStatuses, TeamTasks),
)
