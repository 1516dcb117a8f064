"""Spans of what the pipeline does: calls of tools, commands on their way, decisions, folds.

Where there is no tracing nothing is done here for a single command or event. Batches become spans
when they are over, one for each command or event whose trace is recorded: a span that stood for a
whole batch and linked to many traces would be found in none of them, and of thousands in a batch
few are recorded.
"""

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from agent_orchestration import tracing
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.envelope import CommandEnvelope
from agent_orchestration.core.folding import Folded
from agent_orchestration.logs import carry
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, GROUP

if TYPE_CHECKING:
    from opentelemetry.trace import Span

TENANT = "agent_orchestration.tenant"
COMMAND = "agent_orchestration.command.type"
EVENT = "agent_orchestration.event.type"
OUTCOME = "agent_orchestration.outcome"


@contextmanager
def tool_call(tool: str, caller: Caller) -> Generator[Caller]:
    """A call of that tool: the span below what the caller sent, and the caller to go on with."""
    if not tracing.is_on():
        yield caller
        return
    attributes = {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        TENANT: caller.tenant,
    }
    parent = caller.traceparent
    with tracing.span(
        f"tools/call {tool}", attributes, parent=parent, kind="server", begins=True
    ) as span:
        if span is not None:
            caller = msgspec.structs.replace(caller, traceparent=tracing.current())
            carry(tracing.trace_ids())  # for the line about the call, which comes after the span
        yield caller


class Sending:
    """The spans of commands that are on their way to the log."""

    def __init__(self) -> None:
        self._open: dict[str, Span] = {}

    @contextmanager
    def under_way(self, envelope: CommandEnvelope, partition: int) -> Generator[CommandEnvelope]:
        """The command as it is to be sent: its trace goes on below its span."""
        begun = None
        if tracing.records(envelope.traceparent):
            attributes = _attributes("send", "send", COMMANDS, partition, envelope.id)
            attributes |= {TENANT: envelope.tenant, COMMAND: envelope.type}
            begun = tracing.begun(
                f"send {COMMANDS}", attributes, parent=envelope.traceparent, kind="producer"
            )
        if begun is None:
            yield envelope
            return
        self._open[envelope.id], context = begun
        problem = None
        try:
            yield msgspec.structs.replace(envelope, traceparent=context)
        except BaseException as error:
            problem = tracing.error_type(error)
            raise
        finally:
            self.ended([envelope.id], problem)

    def ended(self, ids: Iterable[str], problem: str | None = None) -> None:
        """They are in the log, or failed with that code."""
        if not self._open:
            return
        for command_id in ids:
            span = self._open.pop(command_id, None)
            if span is not None:
                if problem is not None:
                    tracing.fail(span, problem)
                span.end()


class Deciding:
    """When a batch of commands was decided, from now on, and when their events were appended."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._began = time.time_ns()
        self._appending = self._appended = self._began

    @contextmanager
    def appending(self) -> Generator[None]:
        """The events are on their way to the log."""
        self._appending = time.time_ns()
        yield
        self._appended = time.time_ns()

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """The commands are decided, and their callers answered."""
        if not tracing.is_on():
            return
        ended = time.time_ns()
        for outcome in outcomes:
            if tracing.records(outcome.asked.envelope.traceparent):
                self._record(outcome, ended)

    def _record(self, outcome: Outcome, ended: int) -> None:
        envelope = outcome.asked.envelope
        attributes = _attributes("decide", "process", COMMANDS, self._partition, envelope.id)
        attributes |= {
            "messaging.kafka.offset": outcome.asked.position[1],
            "messaging.consumer.group.name": GROUP,
            TENANT: envelope.tenant,
            COMMAND: envelope.type,
            OUTCOME: "repeated" if outcome.result.repeated else outcome.result.status,
        }
        error = outcome.result.error
        context = tracing.recorded(
            f"decide {COMMANDS}",
            attributes,
            parent=envelope.traceparent,
            kind="consumer",
            times=(self._began, ended),
            problem=error["code"] if error is not None else None,
        )
        if outcome.folded is not None:
            tracing.recorded(
                f"send {EVENTS}",
                _of_event(outcome.folded, "send", "send", self._partition),
                parent=context,
                kind="producer",
                times=(self._appending, self._appended),
            )


def folded(partition: int, by_tenant: Mapping[str, Sequence[Folded]], began: int) -> None:
    """The graph has these events; `began`: when it was given them, nanoseconds since the epoch."""
    if not tracing.is_on():
        return
    ended = time.time_ns()
    for events in by_tenant.values():
        for one in events:
            parent = one.envelope.traceparent
            if tracing.records(parent):
                tracing.recorded(
                    f"fold {EVENTS}",
                    _of_event(one, "fold", "process", partition),
                    parent=parent,
                    kind="consumer",
                    times=(began, ended),
                )


def _of_event(folded: Folded, operation: str, kind: str, partition: int) -> dict[str, str | int]:
    envelope = folded.envelope
    attributes = _attributes(operation, kind, EVENTS, partition, envelope.id)
    return attributes | {TENANT: envelope.tenant, EVENT: envelope.type}


def _attributes(
    operation: str, kind: str, topic: str, partition: int, message_id: str
) -> dict[str, str | int]:
    """What the semantic conventions say of a message."""
    return {
        "messaging.system": tracing.log_system(),
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.message.id": message_id,
    }
