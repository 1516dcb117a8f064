"""What holds between the entities of a tenant after every event."""

from agent_orchestration.core.messages import Event
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.events import SpendReserved
from agent_orchestration.domain.budgets.model import Budget, Spend
from agent_orchestration.domain.conversations.events import (
    ConversationClosed,
    ConversationOpened,
    MessageSent,
)
from agent_orchestration.domain.conversations.model import Conversation, Message, message_id
from agent_orchestration.domain.tasks.events import TaskAssigned, TaskClaimed
from agent_orchestration.domain.tasks.index import Children, ReadyTasks, TaskDeadlines, meets
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.domain.teams.events import TeamFormed, TeamUpdated
from agent_orchestration.domain.teams.index import TeamMembers
from agent_orchestration.domain.teams.model import Team
from tests.properties.contents import unmet

TAKEN = (TaskClaimed, TaskAssigned)


def check_laws(state: TenantState, event: Event) -> None:
    """All of them, after this event."""
    _agents(state, event)
    _tasks(state)
    _plans(state)
    _teams(state)
    _conversations(state, event)
    _limits(state, event)
    _budgets(state, event)
    for task in state.all(Task):
        assert not task.is_live() or can_go_on(state, task), task


def _agents(state: TenantState, event: Event) -> None:
    for agent in state.all(Agent):
        its = [task for task in state.all(Task) if task.held_by(agent.id)]
        assert agent.active == len(its)
        assert agent.retired_at is None or agent.active == 0
    if isinstance(event, TAKEN):
        agent, task = state.get(Agent, event.agent_id), state.get(Task, event.task_id)
        assert agent is not None
        assert task is not None
        assert agent.active <= agent.max_concurrency
        assert not agent.draining
        assert meets(agent.levels, task.requires)
        assert task.team_id is None or task.team_id in {m.team_id for m in agent.memberships}
        assert task.meant_for in (None, agent.id)


def _plans(state: TenantState) -> None:
    for plan in state.all(Task):
        its = [task for task in state.all(Task) if task.parent_id == plan.id]
        ended = [task.status for task in its if not task.is_live()]
        assert (plan.children or 0) == len(its)
        if not its:
            assert plan.open_children is None
            continue
        assert plan.open_children == len(its) - len(ended)
        assert plan.failed_children == len(ended) - ended.count("completed")
        assert (plan.status == "running") == bool(plan.open_children)
        if plan.status != "running":
            assert (plan.status == "completed") == (plan.failed_children == 0)
        assert (plan.assignment, plan.attempt, plan.lease_until) == (None, 0, None)


def _teams(state: TenantState) -> None:
    for agent in state.all(Agent):
        teams = [state.get(Team, one.team_id) for one in agent.memberships]
        assert all(team is not None and team.is_live() for team in teams)
        assert len(teams) == len({one.team_id for one in agent.memberships})
        assert agent.retired_at is None or not teams
    for task in state.all(Task):
        if task.team_id is not None and task.is_live():
            team = state.get(Team, task.team_id)
            assert team is not None
            assert team.is_live()


def _conversations(state: TenantState, event: Event) -> None:
    """Messages are counted without gaps, reply to earlier ones, and are those of members."""
    numbers: dict[str, list[int]] = {one.id: [] for one in state.all(Conversation)}
    for message in state.all(Message):
        assert message.id == message_id(message.conversation_id, message.number)
        numbers[message.conversation_id].append(message.number)
        earlier = {message_id(message.conversation_id, n) for n in range(1, message.number)}
        assert message.reply_to is None or message.reply_to in earlier
    for conversation in state.all(Conversation):
        assert sorted(numbers[conversation.id]) == [*range(1, conversation.messages + 1)]
        assert conversation.is_live() == (conversation.closed_at is None)
    if isinstance(event, MessageSent | ConversationClosed):
        conversation = state.get(Conversation, event.conversation_id)
        assert conversation is not None
        assert conversation.is_live() == isinstance(event, MessageSent)
    if isinstance(event, ConversationOpened | MessageSent):
        _take_part(state, event)


def _take_part(state: TenantState, event: ConversationOpened | MessageSent) -> None:
    """Whoever speaks and is spoken to is there, and a member where the conversation is a team's."""
    conversation = state.get(Conversation, event.conversation_id)
    assert conversation is not None
    for agent_id in (event.agent_id, event.message and event.message.to):
        if agent_id is not None:
            agent = state.get(Agent, agent_id)
            assert agent is not None
            assert agent.retired_at is None
            assert conversation.team_id in {None, *(one.team_id for one in agent.memberships)}


def _tasks(state: TenantState) -> None:
    for task in state.all(Task):
        held = task.status in HELD and not task.children
        finished = not task.is_live()
        assert (task.finished_at is not None) == finished
        assert (task.lease_until is not None) == held
        assert task.retry_at is None or task.status == "blocked"
        if held:
            assert task.assignment is not None
        if task.assignment is not None:
            assert task.assignment.attempt == task.attempt
            assert held or finished
        if task.is_live():
            waits = unmet(state, task)
            assert task.waiting_on == len(waits), (task, waits)
            assert (task.status == "blocked") == bool(waits or task.retry_at is not None)
        if task.status == "completed":
            assert task.waiting_on == 0
        assert task.max_attempts == 0 or task.status != "failed" or task.attempt >= 1
        assert task.given_back is None or 0 < task.given_back <= task.attempt
        assert task.given_back is None or state.rules >= 2


def _limits(state: TenantState, event: Event) -> None:
    """No team grows beyond its size. (What an agent holds is checked where it takes a task: its
    limit may be lowered later.)"""
    if isinstance(event, TeamFormed | TeamUpdated):
        team = state.get(Team, event.team_id)
        assert team is not None
        grows = isinstance(event, TeamFormed) or event.joined
        assert not grows or len(state.index(TeamMembers).of(team.id)) <= team.max_size


def _budgets(state: TenantState, event: Event) -> None:
    """Sums are exact, what is reserved is reserved by a holder, and no reservation exceeds a
    budget. (What calls cost may.)"""
    for spend in state.all(Spend):
        assert spend.task_id is not None
        assert spend.agent_id is not None
        task = state.get(Task, spend.task_id)
        assert task is not None
        if spend.status == "reserved":
            assert task.held_by(spend.agent_id)
            assert task.attempt == spend.attempt
    for budget in state.all(Budget):
        its = [spend for spend in state.all(Spend) if budget.id in spend.budget_ids]
        held = [spend.reserved_micros for spend in its if spend.status == "reserved"]
        assert budget.spent_micros == sum(spend.cost_micros for spend in its)
        assert budget.reserved_micros == sum(held)
        tokens = sum(spend.prompt_tokens + spend.completion_tokens for spend in its)
        assert budget.spent_tokens == tokens
        if isinstance(event, SpendReserved) and budget.id in event.budget_ids:
            assert budget.left_micros >= 0


def can_go_on(state: TenantState, task: Task) -> bool:
    """Whether something that may happen moves an unfinished task, at once or step by step; a task
    that waits for one that failed is moved by being cancelled, as its reason says."""
    if task.children:
        return bool(state.index(Children).of(task.id))
    if task.status in HELD or task.retry_at is not None:
        deadlines = state.index(TaskDeadlines).deadlines.until(2**62)
        return any(task_id == task.id for _, _, task_id, _ in deadlines)
    if task.status == "ready":
        needs = {need.capability: need.level for need in task.needs}
        return state.index(ReadyTasks).best(needs) is not None
    waits = [one for name in unmet(state, task) if (one := state.get(Task, name)) is not None]
    in_vain = {f"dependency {one.id} {one.status}" for one in waits if not one.is_live()}
    return len(in_vain) < len(waits) or task.reason in in_vain
