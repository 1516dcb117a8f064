"""When Faust may be told that a record was read."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from agent_orchestration.analytics.history import TenantHistory

Place = tuple[str, int]
"""(topic, partition)."""


class Readable(Protocol):
    """What is acknowledged."""

    def ack(self) -> object:
        """It was read."""
        ...


class _Waiting(NamedTuple):
    record: Readable
    tenant: str
    seq: int


class Acknowledgements:
    """The records that were read and are not acknowledged yet, in their order.

    An event that is held is only in memory: it must come again after a restart, and so must what
    follows it in its partition, for Faust counts on from whatever is acknowledged.
    """

    def __init__(self) -> None:
        self._waiting = defaultdict[Place, deque[_Waiting]](deque)

    def add(self, place: Place, record: Readable, tenant: str, seq: int) -> None:
        """One more, which may be acknowledged once `seq` of the tenant is counted; 0: at once."""
        self._waiting[place].append(_Waiting(record, tenant, seq))

    def release(self, histories: Mapping[str, TenantHistory]) -> None:
        """Acknowledge what is counted, and kept, and has nothing before it that is not."""
        for waiting in self._waiting.values():
            while waiting:
                first = waiting[0]
                if first.seq and histories[first.tenant].state.seq < first.seq:
                    break
                first.record.ack()
                waiting.popleft()

    def clear(self) -> None:
        """The records are somebody else's, or come again."""
        self._waiting.clear()
