"""What must hold of a history, however much went wrong: found out without the pipeline."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, StoredRecord
from agent_orchestration.core.folding import RULES, fold
from agent_orchestration.core.messages import Command, CommandResult, canonical
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.commands import Heartbeat
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.events import (
    TaskAssigned,
    TaskClaimed,
    TaskLeaseExpired,
    TaskProgressed,
    TaskStarted,
)
from agent_orchestration.domain.tasks.index import ReadyTasks
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS
from tests.properties import commands
from tests.properties.move import Move
from tests.simulation.log import EPOCH, PARTITIONS, Broker

if TYPE_CHECKING:
    from tests.simulation.work import Told


#: Seconds by which two clocks may differ without a fault.
TOLERANCE = 0.1


class Violation(AssertionError):
    """A rule of the protocol was broken."""


class Story:
    """The tenants' histories as the log tells them: the first event of each number counts."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._read: defaultdict[int, int] = defaultdict(int)
        self.states: dict[str, TenantState] = {}
        self.events: defaultdict[str, list[EventEnvelope]] = defaultdict(list)
        self.repeated = 0

    def command(self, tenant: str, move: Move, now: int) -> Command:
        """What a move means now."""
        self.follow()
        state = self.states.get(tenant) or REGISTRY.new_state(tenant)
        return commands.command(state, move, now)

    def knows_worker(self, tenant: str) -> bool:
        """Whether the tenant's worker is registered."""
        self.follow()
        state = self.states.get(tenant)
        return state is not None and state.has(Agent, "worker")

    def follow(self) -> None:
        """Read what was appended since; raises `Violation` for a gap or two different events."""
        for partition in range(PARTITIONS):
            records = self._broker.records[EVENTS, partition]
            for record in records[self._read[partition] :]:
                self._add(EventEnvelope.from_record(record), partition)
            self._read[partition] = len(records)

    def _add(self, envelope: EventEnvelope, partition: int) -> None:
        tenant, history = envelope.tenant, self.events[envelope.tenant]
        if partition_of(tenant, PARTITIONS) != partition:
            raise Violation(f"an event of {tenant} is in partition {partition}")
        if envelope.seq <= len(history):
            self.repeated += 1
            if history[envelope.seq - 1].digest != envelope.digest:
                raise Violation(f"{tenant} has two different events {envelope.seq}")
            return
        if tenant not in self.states:
            self.states[tenant] = REGISTRY.new_state(tenant)
        history.append(envelope)
        fold(REGISTRY, self.states[tenant], envelope)


class Reference:
    """The sequential execution of the command log: one writer that never fails."""

    def __init__(self, broker: Broker) -> None:
        self._decider = Decider(REGISTRY)
        self.states: dict[str, TenantState] = {}
        self.events: defaultdict[str, list[EventEnvelope]] = defaultdict(list)
        #: What every command was answered, each time that it came.
        self.results: defaultdict[str, list[CommandResult]] = defaultdict(list)
        self.expired = 0
        #: The last sign of life of each attempt: when it really came, and what the log stamped.
        self._heard: dict[tuple[str, str, int], tuple[float, int]] = {}
        for partition in range(PARTITIONS):
            self._execute(broker, partition)

    def _execute(self, broker: Broker, partition: int) -> None:
        really = broker.commanded_at[partition]
        for record in broker.records[COMMANDS, partition]:
            envelope = CommandEnvelope.from_record(record)
            command = REGISTRY.decode_command(envelope.type, envelope.body)
            asked = Asked(envelope, command, (EPOCH, record.offset), record.timestamp)
            tenant = envelope.tenant
            if tenant not in self.states:
                self.states[tenant] = REGISTRY.new_state(tenant)
                self.states[tenant].rules = RULES
            outcome = self._decider.decide(self.states[tenant], asked)
            if outcome.spoiled:
                raise Violation(f"command {envelope.id} spoils the state: {outcome.result.error}")
            self.results[envelope.id].append(outcome.result)
            if outcome.folded is not None:
                self.events[tenant].append(outcome.folded.envelope)
            self._watch(outcome, (really[record.offset], record.timestamp))

    def _watch(self, outcome: Outcome, at: tuple[float, int]) -> None:
        """No lease runs out while its holder shows signs of life in time."""
        command, tenant = outcome.asked.command, outcome.asked.envelope.tenant
        state = self.states[tenant]
        if isinstance(command, Heartbeat):
            for lease in command.leases:
                task = state.get(Task, lease.task_id)
                key = (tenant, lease.task_id, lease.attempt)
                if not task or not task.held_by(command.agent_id) or task.attempt != lease.attempt:
                    continue
                # One that comes when the lease is over already may be too late.
                if at[0] - self._heard[key][0] <= task.lease_seconds:
                    self._heard[key] = at
        event = None if outcome.folded is None else outcome.folded.event
        if isinstance(event, TaskClaimed | TaskAssigned | TaskStarted | TaskProgressed):
            self._heard[tenant, event.task_id, event.attempt] = at
        elif isinstance(event, TaskLeaseExpired):
            self.expired += 1
            task = state.get(Task, event.task_id)
            really, stamped = self._heard[tenant, event.task_id, event.attempt]
            silence = at[0] - really
            # Where the log's own clock was changed meanwhile, nobody can tell.
            jump = abs((at[1] - stamped) / 1000 - silence)
            if task and jump < TOLERANCE and silence < task.lease_seconds - TOLERANCE:
                raise Violation(
                    f"{tenant}: the lease of {task.id}, attempt {event.attempt}, ran out after"
                    f" {silence:.1f} s of silence, not {task.lease_seconds}"
                )


def check(broker: Broker, story: Story, told: "list[Told]") -> Reference:
    """Everything that can be said from the log alone. Raises `Violation`."""
    story.follow()
    reference = Reference(broker)
    for tenant in {*reference.events, *story.events}:
        _same_history(tenant, reference.events[tenant], story.events[tenant])
    for one in told:
        _true(one, reference)
    for state in reference.states.values():
        if left := stuck(state):
            raise Violation(f"{state.tenant}: after a long calm {left}")
    Feeds(broker).check()
    return reference


class Feeds:
    """The feeds as a consumer reads them, beside `events`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def complete(self) -> bool:
        """Whether every event has arrived somewhere."""
        return self._ids(EVENTS) == {one for feed in self._names() for one in self._ids(feed)}

    def check(self) -> None:
        """Each event is in its feed, and nowhere else, as it was; of each entity the first copies
        are in the order in which things happened. Raises `Violation`."""
        expected: dict[str, dict[str, tuple[str, bytes, Mapping[str, str]]]] = {
            feed: {} for feed in self._names()
        }
        for record in self._records(EVENTS):
            envelope = EventEnvelope.from_record(record)
            event = REGISTRY.decode_event(envelope.type, envelope.version, envelope.body)
            about = event.about()
            key = envelope.tenant if about is None else f"{envelope.tenant}/{about}"
            feed = expected[REGISTRY.feeds[envelope.type]]
            feed[envelope.id] = (key, record.value, record.headers)
        for feed, events in expected.items():
            self._check_feed(feed, events)

    def _check_feed(
        self, feed: str, expected: dict[str, tuple[str, bytes, Mapping[str, str]]]
    ) -> None:
        last: dict[str, int] = {}
        seen: set[str] = set()
        for record in self._records(feed):
            event_id, key = record.headers["ce_id"], record.key.decode()
            if (key, record.value, record.headers) != expected.get(event_id):
                raise Violation(f"{feed}: {event_id} under {key} is not the event of that id")
            if partition_of(key, PARTITIONS) != record.partition:
                raise Violation(f"{feed}: {key} is in partition {record.partition}")
            if event_id in seen:
                continue
            seen.add(event_id)
            seq = int(record.headers["ce_seq"])
            if seq < last.get(key, 0):
                raise Violation(f"{feed}: event {seq} of {key} comes after {last[key]}")
            last[key] = seq
        if missing := expected.keys() - seen:
            raise Violation(f"{feed} lacks {sorted(missing)}")

    @staticmethod
    def _names() -> set[str]:
        return set(REGISTRY.feeds.values())

    def _records(self, topic: str) -> list[StoredRecord]:
        return [one for n in range(PARTITIONS) for one in self._broker.records[topic, n]]

    def _ids(self, topic: str) -> set[str]:
        return {record.headers["ce_id"] for record in self._records(topic)}


def _same_history(tenant: str, expected: list[EventEnvelope], found: list[EventEnvelope]) -> None:
    for one, other in zip(expected, found, strict=False):
        if one != other:
            raise Violation(f"{tenant}: the log has {other}, one writer would have written {one}")
    if len(expected) != len(found):
        raise Violation(f"{tenant}: {len(found)} events, one writer would write {len(expected)}")


def _true(told: "Told", reference: Reference) -> None:
    """What a client was told is what one writer would have answered to one of its commands."""
    if told.result is None:
        return
    known = reference.results.get(told.result.command_id, [])
    if _answer(told.result) not in [_answer(one) for one in known]:
        raise Violation(f"{told.result} is none of {known}, asked: {told.command}")
    if told.result.status == "accepted":
        event = reference.events[told.tenant][told.result.seq - 1]
        if told.key is not None and not event.receipt_key.endswith(f":{told.key}"):
            raise Violation(f"{told.command} was answered with another's event {event}")


def _answer(result: CommandResult) -> tuple[str, int, bytes]:
    return result.status, result.seq, canonical(result.data)


def stuck(state: TenantState) -> str:
    """What time or the worker will still do for a tenant, in words; "" where all is at rest."""
    worker = state.get(Agent, "worker")
    if worker is None:
        return "the worker is not registered"
    if state.index(ReadyTasks).best(worker.abilities) is not None:
        return "there is work for the worker"
    if next_due(state) is not None:
        return f"something is due at {next_due(state)}"
    held = [task.id for task in state.all(Task) if task.lease_until is not None]
    return f"{held} are held for ever" if held else ""
