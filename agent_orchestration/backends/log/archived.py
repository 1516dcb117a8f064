"""A log whose oldest events are in an archive: whoever reads it never notices."""

from agent_orchestration.backends.log import Log, LogLost
from agent_orchestration.backends.log.archive import TOPIC, Archive
from agent_orchestration.backends.log.wrapped import WrappedLog
from agent_orchestration.core.envelope import StoredRecord


class ArchivedLog(WrappedLog):
    """Wraps a log; see `backends.log.Log` for every method."""

    def __init__(self, log: Log, archive: Archive) -> None:
        super().__init__(log)
        self.archive = archive
        #: By partition, where the log began when the archive was looked at for that.
        self._looked: dict[int, int] = {}

    async def read(self, topic: str, partition: int, offset: int, limit: int) -> list[StoredRecord]:
        """As the wrapped log; what that has no more comes from the archive, which may also raise
        `Unavailable` and `Corrupt`."""
        try:
            return await self._log.read(topic, partition, offset, limit)
        except LogLost:
            if topic != TOPIC:
                raise
            _, end = await self._log.bounds(topic, partition)
            if offset >= end:
                raise
            found = await self.archive.read(self.epoch, partition, offset, limit)
            if found is None:
                # Another process may have archived, and deleted, since we looked.
                await self.archive.segments(self.epoch, partition, anew=True)
                found = await self.archive.read(self.epoch, partition, offset, limit)
            if found is None:
                raise
            return found

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """As the wrapped log, from the first archived record on that the others follow."""
        first, end = await self._log.bounds(topic, partition)
        if topic != TOPIC or not first:
            return first, end
        archived = await self.archive.bounds(self.epoch, partition)
        if archived[1] < first and self._looked.get(partition) != first:
            # Another process has archived what the log has no more.
            await self.archive.segments(self.epoch, partition, anew=True)
            archived = await self.archive.bounds(self.epoch, partition)
            self._looked[partition] = first
        return (archived[0] if archived[0] < first <= archived[1] else first), end


def with_archive(log: Log, archive: Archive | None) -> Log:
    """The log, with what the archive has of it."""
    return log if archive is None else ArchivedLog(log, archive)
