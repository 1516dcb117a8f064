"""What several decisions about tasks insist on first."""

from typing import Protocol

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import known, refuse_older_rules
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent, membership
from agent_orchestration.domain.tasks.index import meets
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.teams.selection import known_agent


class OfAttempt(Protocol):
    """What the holder of a task says, under the attempt that is its fencing token."""

    @property
    def task_id(self) -> str:
        """The task."""
        ...

    @property
    def agent_id(self) -> str:
        """Who holds it."""
        ...

    @property
    def attempt(self) -> int:
        """Under which attempt."""
        ...


def same_attempt(task: Task, command: OfAttempt) -> bool:
    """Whether the command comes from the last holder under the last attempt."""
    held = task.assignment
    return held is not None and (held.agent_id, held.attempt) == (command.agent_id, command.attempt)


def held_task(state: TenantState, command: OfAttempt) -> Task:
    """The task, if this agent holds it under this attempt."""
    task = known(state, Task, command.task_id)
    if not task.is_live():
        raise wrong_status(task, "worked on", "assigned or running")
    if not (task.status in HELD and same_attempt(task, command)):
        raise Rejected(
            "fenced",
            f"attempt: attempt {command.attempt} by {command.agent_id} is over (task {task.id} is"
            f" {task.status}, attempt {task.attempt}); stop working on it and claim again",
            field="attempt",
            task_id=task.id,
            attempt=task.attempt,
        )
    return task


def running_task(state: TenantState, command: OfAttempt) -> Task:
    """The task, if this agent is carrying it out under this attempt."""
    task = held_task(state, command)
    if task.status != "running":
        raise Rejected(
            "not_started",
            f"task_id: task {task.id} is {task.status}; call start_task first",
            field="task_id",
            task_id=task.id,
        )
    return task


def working_agent(state: TenantState, agent_id: str) -> Agent:
    """The agent, if it may take new work."""
    agent = known(state, Agent, agent_id)
    if agent.retired_at is not None or agent.draining:
        raise Rejected(
            "agent_retired" if agent.retired_at is not None else "agent_draining",
            f"agent_id: agent {agent_id} is {agent.status} and takes no new work",
            field="agent_id",
            agent_id=agent_id,
        )
    return agent


def reachable_agent(state: TenantState, agent_id: str) -> Agent:
    """The agent, if work may be pushed to it; one that claims shows by that that it is there.
    Rules 1 pushed work to agents that were offline, too."""
    agent = working_agent(state, agent_id)
    if agent.offline_at is not None and state.rules >= 2:
        raise Rejected(
            "agent_offline",
            f"agent_id: agent {agent_id} is offline; choose another, or wait for its heartbeat",
            field="agent_id",
            agent_id=agent_id,
        )
    return agent


def meant_agent(state: TenantState, agent_id: str, team_id: str | None) -> Agent:
    """The agent, if a task, maybe of a team, can be meant for it alone."""
    refuse_older_rules(state, 2, "agent_id", "tasks for one agent")
    agent = known_agent(state, agent_id, "agent_id")
    if team_id is not None and membership(team_id) not in agent.abilities:
        raise Rejected(
            "not_a_member",
            f"agent_id: the task is for team {team_id}, and agent {agent.id} is no member; name a"
            " member, see get_team",
            field="agent_id",
            agent_id=agent.id,
        )
    return agent


def refuse_unable(task: Task, agent: Agent) -> None:
    """Raises `Rejected` where the agent may not hold the task."""
    if task.meant_for not in (None, agent.id):
        raise Rejected(
            "meant_for_another",
            f"agent_id: task {task.id} is meant for agent {task.meant_for} only; assign it to that"
            " one",
            field="agent_id",
        )
    if not meets(agent.levels, task.requires):
        needs = ", ".join(f"{r.capability} at {r.level / 1000:g}" for r in task.requires)
        raise Rejected(
            "not_capable",
            f"agent_id: agent {agent.id} does not have what task {task.id} requires ({needs});"
            " see find_agents",
            field="agent_id",
        )
    if task.team_id is not None and membership(task.team_id) not in agent.abilities:
        raise Rejected(
            "not_a_member",
            f"agent_id: task {task.id} is for team {task.team_id}, and agent {agent.id} is no"
            " member; see get_team",
            field="agent_id",
        )


def wrong_status(task: Task, what: str, needed: str) -> Rejected:
    """The refusal of what the task's status does not allow."""
    return Rejected(
        "wrong_status",
        f"task_id: task {task.id} is {task.status} and cannot be {what}; it would have to be"
        f" {needed}",
        field="task_id",
        task_id=task.id,
        status=task.status,
    )
