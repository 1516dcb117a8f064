"""A tenant in memory with agents and live tasks, and the commands of a task's lifecycle."""

from collections.abc import Iterable

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import CommandEnvelope, command_body
from agent_orchestration.core.messages import (
    Body,
    Command,
    CommandContext,
    Event,
    EventContext,
    Principal,
)
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent, Skill
from agent_orchestration.domain.capabilities.model import Capability
from agent_orchestration.domain.tasks.commands import ClaimTask, CompleteTask, CreateTask
from agent_orchestration.domain.tasks.model import (
    Assignment,
    Dependency,
    Requirement,
    RequirementSpec,
    Task,
)
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome

TENANT = "acme"
START = 1_700_000_000_000
"""The time of the first command, in milliseconds."""
TRADES = 33
"""So many kinds of agents are there; each kind has three capabilities of its own."""
LEVELS = (0, 250, 500)
"""What tasks require, in thousandths."""
FAR = 30 * 24 * 3600 * 1000
"""Milliseconds until the leases of the held tasks run out."""


def capabilities(agent: int) -> tuple[str, ...]:
    """What the agent with that number can do."""
    return tuple(f"skill-{agent % TRADES * 3 + n:02}" for n in range(3))


def company(agents: int, live: int) -> TenantState:
    """A tenant whose live tasks are ready (half of them), held and blocked."""
    state = REGISTRY.new_state(TENANT)
    for name in {name for agent in range(TRADES) for name in capabilities(agent)}:
        state.load(Capability(id=name, name=name))
    for number in range(agents):
        skills = tuple(Skill(name, 1000) for name in capabilities(number))
        state.load(
            Agent(
                id=f"agent-{number}",
                name=f"Agent {number}",
                kind="llm",
                skills=skills,
                max_concurrency=10_000,
            )
        )
    for number in range(live):
        state.load(_live_task(number, agents))
    state.seq, state.at = live, START
    return state


def _live_task(number: int, agents: int) -> Task:
    agent = number % agents
    name = capabilities(agent)[number // agents % 3]
    task = Task(
        id=f"task-{number}",
        title=f"Task {number}",
        status="ready",
        requires=(Requirement(name, LEVELS[number // 7 % 3]),),
        created_seq=number + 1,
        created_at=START,
        created_by="me",
    )
    if number % 4 == 2:
        task.status = "running"
        task.attempt = 1
        task.assignment = Assignment(f"agent-{agent}", 1, START)
        task.lease_until = START + FAR + number
        task.started_at = START
    elif number % 4 == 3:
        task.status = "blocked"
        task.depends_on = (Dependency(f"task-{number - 1}", "block"),)
        task.waiting_on = 1
    return task


def envelope_of(command: Command, number: int) -> CommandEnvelope:
    """The command as a client sends it, with an id of its own for each number."""
    return CommandEnvelope(
        id=f"00000000-0000-4000-8000-{number:012d}",
        tenant=TENANT,
        type=type(command).__name__,
        body=command_body(command),
        principal=Principal("me", "admin"),
    )


class Desk:
    """Where a tenant's commands are numbered and decided, as a command processor does."""

    def __init__(self, state: TenantState) -> None:
        self.state = state
        self.now = state.at
        self._decider = Decider(REGISTRY)
        self._offset = 0
        self._created = 0

    def asked(self, command: Command) -> Asked:
        """A command as it is read from the log."""
        self._offset += 1
        envelope = envelope_of(command, self._offset)
        read = REGISTRY.decode_command(envelope.type, envelope.body)
        return Asked(envelope, read, (1, self._offset), self.now)

    def decide(self, asked: Iterable[Asked]) -> list[Body]:
        """What their callers are told; each of these commands leads to an event."""
        return [outcome.result.data for outcome in self.outcomes(asked)]

    def outcomes(self, asked: Iterable[Asked]) -> list[Outcome]:
        """The same with everything that came of it."""
        decide, state = self._decider.decide, self.state
        return [decide(state, one) for one in asked]

    def decide_and_evolve(self, asked: Iterable[Asked]) -> list[Event]:
        """The rules alone: no envelope, no encoding, no digest, nothing is checked."""
        state = self.state
        events: list[Event] = []
        for one in asked:
            envelope = one.envelope
            context = CommandContext(envelope.id, TENANT, self.now, envelope.principal)
            event = REGISTRY.decide[type(one.command)](state, one.command, context)
            assert isinstance(event, Event), event
            state.seq += 1
            now = EventContext(state.seq, self.now, envelope.principal.id)
            REGISTRY.evolve[type(event)](state, event, now)
            state.settle()
            events.append(event)
        return events

    def creations(self, agents: Iterable[int]) -> list[Asked]:
        """For each of these agents a new task that it can do."""
        return [self.asked(self._creation(agent)) for agent in agents]

    def _creation(self, agent: int) -> Command:
        self._created += 1
        name = capabilities(agent)[self._created % 3]
        return CreateTask(
            task_id=f"new-{self._created}",
            title=f"New task {self._created}",
            requires=(RequirementSpec(name, 500),),
            payload='{"input":"s3://bucket/file"}',
        )

    def claims(self, agents: Iterable[int]) -> list[Asked]:
        """Each of these agents claims a task."""
        return [self.asked(ClaimTask(agent_id=f"agent-{agent}")) for agent in agents]

    def completions(self, claims: Iterable[Body]) -> list[Asked]:
        """What was claimed is done."""
        return [self.asked(_completion(claim)) for claim in claims]

    def forget(self, completed: Iterable[Body]) -> None:
        """The graph has all of it: what is finished leaves memory."""
        for task in completed:
            self.state.evict(Task, task["task_id"])
        self.state.forget(self.state.seq)


def _completion(claim: Body) -> Command:
    return CompleteTask(
        task_id=claim["task_id"],
        agent_id=claim["agent_id"],
        attempt=claim["attempt"],
        result='{"output":"s3://bucket/out"}',
    )
