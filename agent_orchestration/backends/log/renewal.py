"""A log that goes on under a new epoch after it lost records."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from agent_orchestration.backends.log import Log


@runtime_checkable
class RenewableLog(Log, Protocol):
    """A log whose records can get lost, or whose topics can be made anew."""

    async def start_renewal(self) -> bool:
        """Open the log whatever it lost, under the epoch that it has; whether a renewal was begun
        that did not end. Raises what `start` does for other reasons."""
        ...

    async def holds(self, topic: str, epoch: int) -> bool:
        """Whether offsets of that epoch mean the records that the topic has now."""
        ...

    async def begin_epoch(self) -> None:
        """Go on under a new epoch. Nothing else can open the log until `end_epoch`."""
        ...

    async def end_epoch(self, missing: Sequence[Mapping[str, Any]]) -> None:
        """The new epoch counts; `missing` is what the log lacks, kept with it in plain values."""
        ...
