"""Where a log was at a moment: at a time, or after an event of a tenant."""

from datetime import datetime

from agent_orchestration.backends.log import Log
from agent_orchestration.core.entities import to_milliseconds
from agent_orchestration.core.errors import NotFound
from agent_orchestration.pipeline.histories import BATCH, event_of
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS

#: So many records are read first to find one of a tenant.
FEW = 10
Offsets = tuple[int, ...]
"""By partition of `events`, the offset of the first record that was not there yet."""


async def offsets_at(log: Log, tenant: str, at: int | datetime) -> Offsets:
    """Where the log was at a time, or when it got the tenant's event with the `seq` `at`. Raises
    `NotFound` where there is no such event.

    Times are those that the log put on its records; where its clock went back, a moment near it.
    """
    partitions = log.topics()[EVENTS].partitions
    if isinstance(at, datetime):
        milliseconds = to_milliseconds(at)
        ends = [await offset_after(log, number, milliseconds) for number in range(partitions)]
        return tuple(ends)
    home = partition_of(tenant, partitions)
    offset, timestamp = await _event(log, home, tenant, at)
    found = [
        offset + 1 if number == home else await offset_after(log, number, timestamp)
        for number in range(partitions)
    ]
    return tuple(found)


async def offset_after(log: Log, partition: int, timestamp: int) -> int:
    """The offset of the first record that is younger."""
    low, high = await log.bounds(EVENTS, partition)
    while low < high:
        middle = (low + high) // 2
        [record] = await log.read(EVENTS, partition, middle, 1)
        if record.timestamp <= timestamp:
            low = middle + 1
        else:
            high = middle
    return low


async def _event(log: Log, partition: int, tenant: str, seq: int) -> tuple[int, int]:
    """The offset and the time of an event: half of what is left each time, for those of one tenant
    come in order."""
    low, high = await log.bounds(EVENTS, partition)
    found: tuple[int, int] | None = None
    while low < high:
        middle = (low + high) // 2
        met = await _first_of(log, partition, tenant, (middle, high))
        if met is None or met[2] >= seq:
            high = middle
            if met is not None and met[2] == seq:
                found = met[0], met[1]
        else:
            low = met[0] + 1
    if found is None:
        reason = f"at: tenant {tenant} has no event {seq} in the log; see get_history"
        raise NotFound("unknown_seq", reason, field="at")
    return found


async def _first_of(
    log: Log, partition: int, tenant: str, offsets: tuple[int, int]
) -> tuple[int, int, int] | None:
    """The tenant's first event from one offset on, before another one: its offset, time, `seq`."""
    offset, end = offsets
    limit = FEW
    while offset < end:
        records = await log.read(EVENTS, partition, offset, min(limit, end - offset))
        for record in records:
            event = event_of(record)
            if event is not None and event.tenant == tenant:
                return record.offset, record.timestamp, event.seq
        offset = records[-1].offset + 1
        limit = min(limit * 4, BATCH)
    return None
