"""Between the processes of an installation: outcomes on their way back to the process that asked,
how far the graph is, and hints that there is work. All of it may get lost: callers ask again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

import msgspec

from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt, PlatformError
from agent_orchestration.core.messages import CommandResult, canonical
from agent_orchestration.pipeline.answers import ReadyHints
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.topology import COMMAND_RESULTS

logger = logging.getLogger(__name__)
BATCH = 1000
IDLE_SECONDS = 60.0
PAUSE_SECONDS = 0.5


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """A command was decided."""

    result: CommandResult


class Reached(msgspec.Struct, frozen=True, tag="reached"):
    """The graph has reached the tenant's `seq`."""

    tenant: str
    seq: int


class WorkFor(msgspec.Struct, frozen=True, tag="work_for"):
    """There may be work for an agent that waits."""

    tenant: str
    agent_id: str


class AskAgain(msgspec.Struct, frozen=True, tag="ask_again"):
    """Another process decides from now on, and knows nothing of those who wait."""


Reply = Settled | Reached | WorkFor | AskAgain
_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
EVERYBODY = "*"


def address_of(log: Log, process: str | None) -> str | None:
    """Where replies to a process go, as "<partition>/<process>"."""
    if process is None:
        return None
    return f"{partition_of(process, log.topics()[COMMAND_RESULTS].partitions)}/{process}"


class Replies:
    """One process's mailbox in `command_results`, and its way to those of others.

    `process` is its name, unlike any other's; None where there are no others. `delivered` is told
    every outcome that comes in.
    """

    def __init__(
        self,
        log: Log,
        process: str | None,
        *,
        delivered: Callable[[CommandResult], None],
        hints: ReadyHints,
        progress: Progress,
    ) -> None:
        self._log = log
        self._process = process
        self._delivered = delivered
        self._hints = hints
        self._progress = progress
        self._outbox: defaultdict[int, list[Record]] = defaultdict(list)
        self._senders: dict[int, asyncio.Task[None]] = {}
        self._receiver: asyncio.Task[None] | None = None
        #: By tenant and address, the highest `seq` that was told and is not in the graph yet.
        self._told: defaultdict[str, dict[str, int]] = defaultdict(dict)
        progress.watch(self._reached)

    def elsewhere(self, address: str | None) -> bool:
        """Whether another process waits there."""
        return address is not None and address != address_of(self._log, self._process)

    def start(self) -> None:
        """Begin to receive."""
        if self._process is not None:
            self._receiver = asyncio.create_task(self._receive(self._process), name="replies")

    async def stop(self) -> None:
        """End receiving; what was not sent is dropped."""
        tasks = [*self._senders.values(), *([self._receiver] if self._receiver else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def settled(self, address: str, result: CommandResult) -> None:
        """Tell another process of an outcome, and later that the graph has it."""
        self._post(address, Settled(result))
        told = self._told[result.tenant]
        told[address] = max(result.seq, told.get(address, 0))
        self._reached(result.tenant, self._progress.seq(result.tenant))

    def work_for(self, address: str, tenant: str, agent_id: str) -> None:
        """Tell a waiting agent that there may be work."""
        self._post(address, WorkFor(tenant, agent_id))

    def ask_again(self) -> None:
        """Tell everybody that whoever waits for work has to ask again."""
        if self._process is not None:
            for partition in range(self._log.topics()[COMMAND_RESULTS].partitions):
                self._post(f"{partition}/{EVERYBODY}", AskAgain())

    def _reached(self, tenant: str, seq: int) -> None:
        waiting = self._told.get(tenant, {})
        for address in [one for one, told in waiting.items() if told <= seq]:
            self._post(address, Reached(tenant, waiting.pop(address)))
        if not waiting:
            self._told.pop(tenant, None)

    def _post(self, address: str, reply: Reply) -> None:
        place, _, process = address.partition("/")
        partition = int(place)
        headers = {"content-type": "application/json"}
        self._outbox[partition].append(Record(process.encode(), canonical(reply), headers))
        sender = self._senders.get(partition)
        if sender is None or sender.done():
            self._senders[partition] = asyncio.create_task(self._send(partition))

    async def _send(self, partition: int) -> None:
        while records := self._outbox.pop(partition, None):
            try:
                await self._log.append(COMMAND_RESULTS, partition, records)
            except PlatformError as error:
                logger.warning("%d replies are lost: %s", len(records), error)

    async def _receive(self, process: str) -> None:
        """From now on; what was for an earlier process of the same name concerns nobody."""
        partition = partition_of(process, self._log.topics()[COMMAND_RESULTS].partitions)
        wanted = (process.encode(), EVERYBODY.encode())
        offset: int | None = None
        while True:
            try:
                if offset is None:
                    _, offset = await self._log.bounds(COMMAND_RESULTS, partition)
                    self._hints.wake_all()
                records = await self._log.read(COMMAND_RESULTS, partition, offset, BATCH)
                if not records:
                    await self._log.wait(COMMAND_RESULTS, partition, offset, IDLE_SECONDS)
            except Corrupt:
                offset = None  # they are kept for an hour only; what cannot be read is asked again
                continue
            except PlatformError as error:
                logger.warning("replies cannot be read: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            for record in records:
                offset = record.offset + 1
                if record.key in wanted:
                    self._deliver(record.value)

    def _deliver(self, encoded: bytes) -> None:
        try:
            reply = _decoder.decode(encoded)
        except ValueError as error:
            logger.warning("a reply that this version does not know is left out: %s", error)
            return
        match reply:
            case Settled(result):
                self._delivered(result)
            case Reached(tenant, seq):
                self._progress.advance(tenant, seq)
            case WorkFor(tenant, agent_id):
                self._hints.wake_one(tenant, agent_id)
            case AskAgain():
                self._hints.wake_all()
