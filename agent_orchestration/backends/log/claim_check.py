"""A log whose records may be larger than a record: large values are kept in the blob store.

The record then has an empty value, and the digest in the header `ce_dataref`, the CloudEvents
extension for data kept elsewhere. Whoever reads through this log never notices.
"""

from collections.abc import Sequence

import msgspec

from agent_orchestration.backends.blobs import BlobStore
from agent_orchestration.backends.log import Log, Stamp
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import Record, StoredRecord
from agent_orchestration.core.errors import Corrupt, NotFound
from agent_orchestration.core.types import BLOB_THRESHOLD

HEADER = "ce_dataref"
READ_BYTES = 16 * 1024 * 1024
"""Kept values that one read fetches: thousands of records may name some megabytes each."""


class ClaimCheckLog(WrappedLog):
    """Wraps a log; see `backends.log.Log` for every method."""

    def __init__(self, log: Log, blobs: BlobStore) -> None:
        super().__init__(log)
        self._blobs = blobs

    async def append(self, topic: str, partition: int, records: Sequence[Record]) -> list[Stamp]:
        """The values go to the blob store first: no record ever names a blob that is not there."""
        return await self._log.append(topic, partition, [await self._in(r) for r in records])

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """As the wrapped log, and no more records than have `READ_BYTES` of kept values, but one
        at least. Also raises `Corrupt` where a kept value is missing or damaged."""
        found: list[StoredRecord] = []
        size = 0
        for record in await self._log.read(topic, partition, offset, limit):
            whole = await self.whole(record)
            size += len(whole.value) if whole is not record else 0
            if found and size > READ_BYTES:
                break
            found.append(whole)
        return found

    async def _in(self, record: Record) -> Record:
        if len(record.value) <= BLOB_THRESHOLD:
            return record
        digest = await self._blobs.put(record.value)
        headers = {**record.headers, HEADER: digest}
        return msgspec.structs.replace(record, value=b"", headers=headers)

    async def whole(self, record: StoredRecord) -> StoredRecord:
        """A record of the wrapped log with its value. Raises `Corrupt` where that is missing."""
        digest = record.headers.get(HEADER)
        if digest is None:
            return record
        try:
            value = await self._blobs.get(digest)
        except NotFound:
            place = f"{record.topic}/{record.partition} at {record.offset}"
            raise Corrupt(
                "value_missing",
                f"the value of record {place} is not among the blobs: bring {digest} back from a"
                " backup",
                digest=digest,
            ) from None
        headers = {name: text for name, text in record.headers.items() if name != HEADER}
        return msgspec.structs.replace(record, value=value, headers=headers)
