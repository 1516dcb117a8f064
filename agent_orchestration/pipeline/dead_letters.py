"""Records that nobody can read: kept apart, with where they came from and why."""

from agent_orchestration import measures
from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.pipeline.topology import DEAD_LETTERS


async def send_dead_letter(log: Log, record: StoredRecord, reason: str) -> None:
    """Append the record to `dead_letters`; its own headers are kept under `original_…`. Not counted
    where the log takes none, as that of a graph that is made from what was read before."""
    headers = {f"original_{name}": value for name, value in record.headers.items()}
    origin = f"{record.topic}/{record.partition}/{record.offset}"
    letter = Record(record.key, record.value, {**headers, "origin": origin, "reason": reason})
    partition = record.partition % log.topics()[DEAD_LETTERS].partitions
    if await log.append(DEAD_LETTERS, partition, [letter]):
        measures.DEAD_LETTERS.add(record.topic)
