"""The histories in a log: read whole, each tenant's events in order."""

from collections.abc import AsyncIterator

from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, StoredRecord
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.core.state import GENESIS

BATCH = 1000


class Histories:
    """How far each tenant's history is: `last` has the `seq` and the digest of its last event."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, str]] = {}

    def seq(self, tenant: str) -> int:
        """The last `seq`, 0 before the first event."""
        return self.last[tenant][0] if tenant in self.last else 0

    def follow(self, event: EventEnvelope) -> bool:
        """Whether it is its tenant's next event, and goes on with it; False for a repeated one.
        Raises `Corrupt` for one that no fold could take: a gap in `seq`, or another predecessor."""
        seq, digest = self.last.get(event.tenant, (0, GENESIS))
        if event.seq <= seq:
            return False
        if event.seq != seq + 1:
            reason = f"tenant {event.tenant}: event {event.seq} follows {seq}"
            raise Corrupt("gap", f"{reason}; bring the missing events back from a backup")
        if event.prev != digest:
            reason = f"tenant {event.tenant}: event {event.seq} has another predecessor than the"
            raise Corrupt("broken_chain", f"{reason} one before it; compare with a backup")
        self.last[event.tenant] = event.seq, event.digest
        return True


async def batches(
    log: Log, topic: str, partition: int, begin: int | None = None
) -> AsyncIterator[list[StoredRecord]]:
    """The records of a partition to its end; `begin` is the first offset kept unless given.
    Raises what `Log.read` raises."""
    offset = (await log.bounds(topic, partition))[0] if begin is None else begin
    while records := await log.read(topic, partition, offset, BATCH):
        yield records
        offset = records[-1].offset + 1


def event_of(record: StoredRecord) -> EventEnvelope | None:
    """The event, None for a record that is none: projectors send those to `dead_letters`."""
    try:
        return EventEnvelope.from_record(record)
    except ValueError:
        return None


def command_of(record: StoredRecord) -> CommandEnvelope | None:
    """The same for commands."""
    try:
        return CommandEnvelope.from_record(record)
    except ValueError:
        return None
