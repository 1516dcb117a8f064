"""A log into which the records of a file can be put back."""

from typing import Protocol, runtime_checkable

from agent_orchestration.backends.log import Log


@runtime_checkable
class ImportTarget(Log, Protocol):
    """A log each of whose topics can be appended to by itself."""

    async def start_import(self, topic: str) -> None:
        """Open the log, also where an import into that topic was begun and did not end. Raises what
        `start` does for other reasons."""
        ...

    async def begin_import(self, topic: str) -> None:
        """Where the topic's positions are kept elsewhere, nothing else can open the log until
        `end_import`: a history that is there in part must not be gone on with."""
        ...

    async def end_import(self, topic: str) -> None:
        """All records are there. Where the topic's positions are kept elsewhere, the log is to be
        renewed before anything else: they mean other records now. See `RenewableLog`."""
        ...
