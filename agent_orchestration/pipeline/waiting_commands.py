"""The commands of a log that nobody decided yet, as far as the log alone can tell."""

from collections.abc import AsyncIterator

import msgspec

from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, StoredRecord
from agent_orchestration.core.state import KEY_MEMORY_MS
from agent_orchestration.pipeline.histories import batches, command_of
from agent_orchestration.pipeline.topology import COMMANDS, GROUP

CommandId = tuple[str, str]
"""(tenant, id): the ids that timers give need not differ between tenants."""


class WaitingCommands:
    """Finds them, in three steps: `look`, `note` for every event of the log, `records`.

    Decided is what lies before the group's position, or before the command of the tenant's last
    event (commands are decided in order), or what an event bears the id or the idempotency key of.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        #: Records that are no commands, counted by `records`.
        self.unreadable = 0
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._ids: set[CommandId] = set()
        self._keys: set[tuple[str, str]] = set()
        self._decided: set[CommandId] = set()
        self._receipts: dict[tuple[str, str], int] = {}
        #: By tenant, the time of its last event, and the offset of the last command with one.
        self._at: dict[str, int] = {}
        self._offset: dict[str, int] = {}

    async def look(self) -> None:
        """See which commands lie beyond the positions. Raises `LogLost` where they are gone."""
        for partition in range(self._log.topics()[COMMANDS].partitions):
            begin, end = await self._log.bounds(COMMANDS, partition)
            committed = await self._log.committed(GROUP, COMMANDS, partition)
            if committed is not None and committed[0] == self._log.epoch:
                begin = committed[1]
            self._begins[partition], self._ends[partition] = begin, end
            async for command in self._commands(partition):
                self._ids.add((command.tenant, command.id))
                self._keys.add((command.tenant, command.receipt_key))

    def note(self, event: EventEnvelope) -> None:
        """Remember what the event says of the commands."""
        epoch, offset = event.command_position
        if epoch == self._log.epoch:
            self._offset[event.tenant] = max(offset, self._offset.get(event.tenant, -1))
        self._at[event.tenant] = event.at
        command = event.tenant, event.command_id
        if command in self._ids:
            self._decided.add(command)
        key = event.tenant, event.receipt_key
        if key in self._keys:
            self._receipts[key] = event.at

    async def records(self) -> AsyncIterator[list[StoredRecord]]:
        """Those that wait, in order, each once. Nobody waits for their answers any more, so they
        name no address for them."""
        told: set[CommandId] = set()
        self.unreadable = 0
        for partition, begin in self._begins.items():
            async for records in batches(self._log, COMMANDS, partition, begin):
                yield [one for record in records if (one := self._waiting(record, told))]

    def _waiting(self, record: StoredRecord, told: set[CommandId]) -> StoredRecord | None:
        command = command_of(record)
        if command is None:
            self.unreadable += 1
            return None
        name = command.tenant, command.id
        if name in told or self._is_decided(command, record):
            return None
        told.add(name)
        alone = msgspec.structs.replace(command, reply_to=None, waits_ms=0).to_record()
        return msgspec.structs.replace(record, headers=alone.headers)

    async def unchanged(self) -> bool:
        """Whether nobody appended commands since `look`."""
        ends = [(await self._log.bounds(COMMANDS, number))[1] for number in self._ends]
        return ends == list(self._ends.values())

    async def _commands(self, partition: int) -> AsyncIterator[CommandEnvelope]:
        async for records in batches(self._log, COMMANDS, partition, self._begins[partition]):
            for record in records:
                if (command := command_of(record)) is not None:
                    yield command

    def _is_decided(self, command: CommandEnvelope, record: StoredRecord) -> bool:
        tenant = command.tenant
        if record.offset <= self._offset.get(tenant, -1):
            return True
        if (tenant, command.id) in self._decided:
            return True
        used = self._receipts.get((tenant, command.receipt_key))
        at = max(record.timestamp, self._at.get(tenant, 0))
        return used is not None and command.key is not None and used + KEY_MEMORY_MS > at
