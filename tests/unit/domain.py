"""Given events, when a command, then an event, a refusal or nothing: the pure core under test."""

from collections.abc import Iterable
from typing import Any, TypeVar

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import EventEnvelope, stored_form
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.folding import RULES, check_rows, fold
from agent_orchestration.core.messages import (
    Command,
    CommandContext,
    Event,
    Nothing,
    Principal,
    canonical,
)
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.budgets.model import Budget, Spend
from agent_orchestration.domain.conversations.model import Conversation, Message, message_id
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.index import TeamMembers
from agent_orchestration.domain.teams.model import Team
from agent_orchestration.domain.templates.model import Template

START = 1_700_000_000_000
"""The time of the first command, in milliseconds."""

E = TypeVar("E", bound=Event)


class Domain:
    """A tenant's history in memory. Time stands still unless `pass_seconds` moves it."""

    def __init__(self, tenant: str = "default", rules: int = RULES) -> None:
        self.state: TenantState = REGISTRY.new_state(tenant)
        self.state.rules = rules
        self.now = START
        self.history: list[EventEnvelope] = []
        self._commands = 0

    def given(self, *commands: Command) -> "Domain":
        """Commands that must be accepted, or leave nothing to do."""
        for command in commands:
            self.when(command)
        return self

    def pass_seconds(self, seconds: float) -> "Domain":
        """Time passes."""
        self.now += round(seconds * 1000)
        return self

    def decide(self, command: Command) -> Event | Nothing:
        """The decision alone; changes nothing."""
        self._commands += 1
        context = CommandContext(
            self.command_id, self.state.tenant, self.now, Principal("me", "admin")
        )
        return REGISTRY.decide[type(command)](self.state, command, context)

    @property
    def command_id(self) -> str:
        """The id of the last command."""
        return f"command-{self._commands:012d}"

    def when(self, command: Command) -> Event | Nothing:
        """Decide and fold what came out of it, through its stored form."""
        body = canonical(command)
        outcome = self.decide(REGISTRY.decode_command(type(command).__name__, body))
        if isinstance(outcome, Event):
            self._fold(outcome)
        return outcome

    def event(self, command: Command, expected: type[E]) -> E:
        """The event that a command leads to; fails if it is none, or another one."""
        outcome = self.when(command)
        assert isinstance(outcome, expected), outcome
        return outcome

    def nothing(self, command: Command) -> dict[str, Any]:
        """What a command that leaves nothing to do says; fails if it changed anything."""
        before = self.snapshot()
        outcome = self.when(command)
        assert isinstance(outcome, Nothing), outcome
        assert self.snapshot() == before
        return outcome.data

    def refused(self, command: Command) -> PlatformError:
        """The refusal of a command; fails if it was not refused or changed anything."""
        before = self.snapshot()
        try:
            outcome = self.when(command)
        except PlatformError as error:
            assert self.snapshot() == before
            return error
        raise AssertionError(f"not refused: {outcome}")

    def task(self, task_id: str = "parse") -> Task:
        """A task that must exist."""
        task = self.state.get(Task, task_id)
        assert task is not None, task_id
        return task

    def agent(self, agent_id: str = "ann") -> Agent:
        """An agent that must exist."""
        agent = self.state.get(Agent, agent_id)
        assert agent is not None, agent_id
        return agent

    def team(self, team_id: str = "crew") -> Team:
        """A team that must exist."""
        team = self.state.get(Team, team_id)
        assert team is not None, team_id
        return team

    def members(self, team_id: str = "crew") -> dict[str, str]:
        """Role by agent of a team."""
        return self.state.index(TeamMembers).of(team_id)

    def template(self, template_id: str) -> Template:
        """A version of a template that must exist."""
        template = self.state.get(Template, template_id)
        assert template is not None, template_id
        return template

    def conversation(self, conversation_id: str = "talk") -> Conversation:
        """A conversation that must exist."""
        conversation = self.state.get(Conversation, conversation_id)
        assert conversation is not None, conversation_id
        return conversation

    def message(self, number: int, conversation_id: str = "talk") -> Message:
        """A message that must exist."""
        message = self.state.get(Message, message_id(conversation_id, number))
        assert message is not None, number
        return message

    def budget(self, budget_id: str = "tenant") -> Budget:
        """A budget that must exist."""
        budget = self.state.get(Budget, budget_id)
        assert budget is not None, budget_id
        return budget

    def spend(self, spend_id: str = "call") -> Spend:
        """A spend that must exist."""
        spend = self.state.get(Spend, spend_id)
        assert spend is not None, spend_id
        return spend

    def statuses(self) -> dict[str, str]:
        """The status of every task by id."""
        return {task.id: task.status for task in self.state.all(Task)}

    def examined(self, command: Command) -> int:
        """How many entities and index entries the decision looked at."""
        before = self.state.examined
        self.decide(command)
        return self.state.examined - before

    def snapshot(self) -> dict[str, Any]:
        """Every entity as plain data, by label and id."""
        return snapshot(self.state)

    def _fold(self, event: Event) -> None:
        version, body = stored_form(event, self.state.rules)
        envelope = EventEnvelope(
            tenant=self.state.tenant,
            seq=self.state.seq + 1,
            prev=self.state.prev,
            type=type(event).__name__,
            version=version,
            at=self.now,
            body=body,
            command_id=self.command_id,
            command_position=(1, self._commands),
            actor="me",
            receipt_key=f"id:{self.command_id}",
            body_hash="",
            rules=self.state.rules,
        )
        self.history.append(envelope)
        check_rows(fold(REGISTRY, self.state, envelope))


def snapshot(state: TenantState) -> dict[str, Any]:
    """Every entity of a state as plain data, by label and id."""
    return {
        label: {entity.id: canonical(entity) for entity in state.all(cls)}
        for label, cls in REGISTRY.entities.items()
    }


def replay(history: Iterable[EventEnvelope], tenant: str = "default") -> TenantState:
    """A state folded from a history alone."""
    state = REGISTRY.new_state(tenant)
    for envelope in history:
        fold(REGISTRY, state, envelope)
    return state
