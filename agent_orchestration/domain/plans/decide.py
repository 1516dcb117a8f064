"""Decisions about plans."""

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import refuse_taken
from agent_orchestration.core.messages import CommandContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.index import AgentsByCapability
from agent_orchestration.domain.plans.commands import SubmitPlan, TeamSpec
from agent_orchestration.domain.plans.events import PlannedTask, PlanSubmitted
from agent_orchestration.domain.plans.planning import all_requirements, planned_tasks
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.guards import working_team
from agent_orchestration.domain.teams.selection import choose_members

MOST_UNSTAFFED = 1000


def submit_plan(state: TenantState, command: SubmitPlan, context: CommandContext) -> PlanSubmitted:
    """All tasks or none."""
    plan_id = command.plan_id or context.new_id("plan")
    refuse_taken(state, Task, plan_id, called="plan")
    if not command.tasks:
        raise Rejected("empty_plan", "tasks: a plan needs at least one task", field="tasks")
    if command.team_id is not None and command.form_team is not None:
        raise Rejected(
            "invalid_argument", "form_team: team_id is given as well; choose one", field="form_team"
        )
    if command.team_id is not None:
        working_team(state, command.team_id)
    tasks = planned_tasks(state, plan_id, command.tasks)
    event = PlanSubmitted(
        plan_id=plan_id,
        title=command.title,
        description=command.description,
        tasks=tasks,
        team_id=command.team_id,
        unstaffed=_unstaffed(state, tasks),
    )
    if command.form_team is None:
        return event
    return _with_team(state, command.form_team, context, event)


def _with_team(
    state: TenantState, wanted: TeamSpec, context: CommandContext, event: PlanSubmitted
) -> PlanSubmitted:
    requires = all_requirements(event.tasks)
    if not requires:
        raise Rejected(
            "nothing_required",
            "form_team: no task requires a capability that members could be chosen by; say what"
            " tasks require, or name a team with team_id",
            field="form_team",
        )
    try:
        members = choose_members(state, requires, (), 1, wanted.max_size)
    except Rejected as error:
        details = {**error.details, "field": "form_team"}
        raise Rejected(error.code, f"form_team: {error.reason}", **details) from None
    return msgspec.structs.replace(
        event,
        team_id=context.new_id("team"),
        team_goal=wanted.goal or event.title,
        team=members,
        team_max_size=wanted.max_size,
    )


def _unstaffed(state: TenantState, tasks: tuple[PlannedTask, ...]) -> tuple[str, ...]:
    """What nobody can do, asked once for equal requirements; no more of it than one can read."""
    agents = state.index(AgentsByCapability)
    found: set[str] = set()
    for requires in {task.requires for task in tasks}:
        found |= set(agents.unstaffed((need.capability, need.level) for need in requires))
    return tuple(sorted(found))[:MOST_UNSTAFFED]
