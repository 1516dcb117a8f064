"""The command bus: from an intention to its outcome, for callers in this process."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import msgspec

from agent_orchestration.backends.blobs import BlobStore
from agent_orchestration.backends.log import Log
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.entities import json_fields
from agent_orchestration.core.envelope import CommandEnvelope, Record, command_body
from agent_orchestration.core.errors import (
    Busy,
    PlatformError,
    Rejected,
    Unavailable,
    error_from_dict,
)
from agent_orchestration.core.messages import Command, CommandResult, canonical
from agent_orchestration.core.module import Registry
from agent_orchestration.core.types import BLOB_THRESHOLD, REQUEST_LIMIT, BlobReference
from agent_orchestration.pipeline.admission import Admission
from agent_orchestration.pipeline.answers import Answers, ReadyHints, WaitingCommand
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.spans import Sending
from agent_orchestration.pipeline.topology import COMMANDS

WAITING_LIMIT = 10_000
LAG_LIMIT = 20_000
RETRY_SECONDS = 1
"""What callers are told to wait who are refused because too many wait."""
#: How long to wait for an outcome before the command is sent again with the same id.
PATIENCE_SECONDS = (5.0, 10.0, 15.0)


class CommandBus:
    """Sends commands to the log and gives back their outcomes.

    Commands that come in while an append is under way are appended together by the next one.
    `new_id` gives commands their ids; `reply_to` is where other processes answer them.
    """

    def __init__(
        self,
        log: Log,
        blobs: BlobStore,
        registry: Registry,
        answers: Answers,
        hints: ReadyHints,
        *,
        new_id: Callable[[], str],
        reply_to: str | None = None,
        failed: Callable[[int], PlatformError | None] = lambda _: None,
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._registry = registry
        self._answers = answers
        self._hints = hints
        self._new_id = new_id
        self._reply_to = reply_to
        self._failed = failed
        self._sending = Sending()
        self._outbox: defaultdict[int, list[tuple[str, Record]]] = defaultdict(list)
        self._senders: dict[int, asyncio.Task[None]] = {}
        #: By partition, how many commands waited, and until when that counts.
        self._lag: dict[int, tuple[int, float]] = {}
        self._admissions: defaultdict[int, Admission] = defaultdict(lambda: Admission(_now))
        #: By partition, until when the last caller who was refused was told to wait.
        self._refusing: dict[int, float] = {}

    async def submit(
        self, command: Command, caller: Caller, *, key: str | None = None, waits: float = 0.0
    ) -> CommandResult:
        """The command's outcome: accepted, or nothing to do. Every other outcome is raised, as
        the `PlatformError` it is. Repeating a call with the same key is harmless.
        `waits` is how many seconds the caller waits for work where there is none."""
        envelope = await self._envelope(command, caller, key)
        envelope = msgspec.structs.replace(
            envelope, reply_to=self._reply_to, waits_ms=round(waits * 1000)
        )
        partition = self._partition(envelope.tenant)
        self._admit(partition, command)
        copies = itertools.count()
        under_way = self._admissions[partition].under_way()
        with under_way, self._sending.under_way(envelope, partition) as sent:
            while True:
                result = await self._outcome(sent, partition, copies)
                if result.status != "unsettled":
                    break
        if result.error is not None:
            raise error_from_dict(result.error)
        return result

    async def submit_waiting(
        self,
        command: Command,
        caller: Caller,
        *,
        agent_id: str,
        seconds: float,
        key: str | None = None,
    ) -> CommandResult:
        """Like `submit`, but while there is nothing to do wait for work that the agent can do."""
        if seconds <= 0:
            return await self.submit(command, caller, key=key)
        deadline = _now() + seconds
        waiter = self._hints.park(caller.tenant, agent_id)
        claimed: str | None = None
        try:
            while True:
                left = max(deadline - _now(), 0.0)
                result = await self.submit(command, caller, key=key, waits=left)
                if result.status == "accepted":
                    claimed = result.data["task_id"]
                    return result
                self._hints.in_vain(waiter, result.data.get("levels"))
                try:
                    async with asyncio.timeout_at(deadline):
                        await waiter.wake.wait()
                except TimeoutError:
                    return result
                self._hints.follow(waiter)
        finally:
            self._hints.leave(waiter, claimed)

    async def send(self, command: Command, caller: Caller, command_id: str) -> None:
        """Submit under a given id and don't wait for the outcome (for the timer)."""
        envelope = await self._envelope(command, caller, None, command_id)
        await self._log.append(COMMANDS, self._partition(envelope.tenant), [envelope.to_record()])

    async def keep_blob(self, data: bytes, tenant: str) -> str:
        """See `core.tool.Gateway`."""
        digest = await self._blobs.of(tenant).put(data)
        return canonical(BlobReference(digest, len(data))).decode()

    async def read_blob(self, digest: str, tenant: str) -> bytes:
        """See `core.tool.Gateway`."""
        return await self._blobs.of(tenant).get(digest)

    def reading(self, tenant: str) -> AbstractContextManager[None]:
        """Meanwhile a caller waits to read what it wrote: that counts as its command does."""
        return self._admissions[self._partition(tenant)].under_way()

    def refusing(self) -> list[int]:
        """The partitions in which new work was refused within the last second or so."""
        return sorted(number for number, until in self._refusing.items() if _now() < until)

    def delivered(self, result: CommandResult) -> None:
        """An outcome arrived."""
        until = _now() + RETRY_SECONDS
        self._lag[self._partition(result.tenant)] = result.lag, until
        self._answers.deliver(result)

    def _partition(self, tenant: str) -> int:
        return partition_of(tenant, self._log.topics()[COMMANDS].partitions)

    def _admit(self, partition: int, command: Command) -> None:
        self._refuse_stopped(partition)
        work = type(command).WORK
        if work == "ends":
            return
        lag, until = self._lag.get(partition, (0, 0.0))
        # Whoever sends nothing hears nothing: what was heard a while ago refuses nobody.
        behind = lag >= LAG_LIMIT and _now() < until
        full = self._admissions[partition].full(work)
        if full or behind or len(self._answers) >= WAITING_LIMIT:
            self._refusing[partition] = _now() + 2 * RETRY_SECONDS
            reason = "too many commands are waiting; repeat in a second"
            raise Busy("busy", reason, retry_after=RETRY_SECONDS)

    def _refuse_stopped(self, partition: int) -> None:
        failure = self._failed(partition)
        if failure is not None:
            raise Unavailable("partition_stopped", failure.reason)

    async def _envelope(
        self, command: Command, caller: Caller, key: str | None, command_id: str | None = None
    ) -> CommandEnvelope:
        name = type(command).__name__
        large = _large_fields(command)
        # Checked without them first, so that nothing refused leaves a blob behind.
        rest = msgspec.structs.replace(command, **dict.fromkeys(large, "null"))
        body = self._checked(name, command_body(rest))
        if large:
            references = {
                field: await self.keep_blob(data, caller.tenant) for field, data in large.items()
            }
            body = command_body(msgspec.structs.replace(command, **references))
        return CommandEnvelope(
            id=command_id or self._new_id(),
            tenant=caller.tenant,
            type=name,
            body=body,
            principal=caller.principal,
            key=key,
            correlation=caller.correlation,
            traceparent=caller.traceparent,
        )

    def _checked(self, name: str, body: bytes) -> bytes:
        """What the log may hold is decided here, before the append."""
        if len(body) > REQUEST_LIMIT:
            raise Rejected(
                "too_large",
                f"the request has {len(body)} bytes beside large JSON values; at most"
                f" {REQUEST_LIMIT} are allowed, send it in several calls",
            )
        try:
            self._registry.decode_command(name, body)
        except msgspec.DecodeError as error:
            raise Rejected("invalid_argument", str(error)) from None
        return body

    async def _outcome(
        self, envelope: CommandEnvelope, partition: int, copies: Iterator[int]
    ) -> CommandResult:
        waiting: WaitingCommand | None = None
        try:
            for patience in PATIENCE_SECONDS:
                self._refuse_stopped(partition)
                # Once one copy was decided, the last of them will be: there is no need of another.
                if waiting is None or not waiting.heard:
                    waiting = self._send_copy(envelope, partition, next(copies))
                await asyncio.wait([waiting.outcome], timeout=patience)
                if waiting.outcome.done():
                    return waiting.outcome.result()
        finally:
            self._answers.forget(envelope.id)
        remedy = (
            "repeat the call with the same idempotency_key"
            if envelope.key is not None
            else "look whether it was carried out before you repeat it, with an idempotency_key"
        )
        raise Unavailable("outcome_unknown", f"there was no answer in time; {remedy}")

    def _send_copy(self, envelope: CommandEnvelope, partition: int, copy: int) -> WaitingCommand:
        waiting = self._answers.expect(envelope.id, copy)
        record = msgspec.structs.replace(envelope, copy=copy).to_record()
        self._outbox[partition].append((envelope.id, record))
        sender = self._senders.get(partition)
        if sender is None or sender.done():
            self._senders[partition] = asyncio.create_task(self._drain(partition))
        return waiting

    async def _drain(self, partition: int) -> None:
        """Append what is waiting, as often as there is something."""
        while posted := self._outbox.pop(partition, None):
            try:
                await self._log.append(COMMANDS, partition, [record for _, record in posted])
            except PlatformError as error:
                self._sending.ended((command_id for command_id, _ in posted), error.code)
                for command_id, _ in posted:
                    self._answers.fail(command_id, error)
            else:
                self._sending.ended(command_id for command_id, _ in posted)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _large_fields(command: Command) -> dict[str, bytes]:
    """The JSON fields that are too large for the log, encoded."""
    found: dict[str, bytes] = {}
    for name in json_fields(type(command)):
        data = (getattr(command, name) or "").encode()
        if len(data) > REQUEST_LIMIT:
            raise Rejected(
                "too_large",
                f"{name}: has {len(data)} bytes; at most {REQUEST_LIMIT} are allowed",
                field=name,
            )
        if len(data) > BLOB_THRESHOLD:
            found[name] = data
    return found
