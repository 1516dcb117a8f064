"""Rows that change together: all of a commit, or nothing of it, whenever the process ends."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping

import msgspec

from agent_orchestration.core.errors import Corrupt

_COMMITTED = b"committed"


class _Row(msgspec.Struct, array_like=True, frozen=True):
    """A row: since which commit it is `now`, and what it was `before`; None: not there."""

    commit: int
    now: bytes | None
    before: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_row = msgspec.msgpack.Decoder(_Row).decode
_number = msgspec.msgpack.Decoder(int).decode


class Commits:
    """Rows in a table that keeps each key by itself, such as one with a changelog in Kafka: what
    several keys are told may arrive in part.

    So each row keeps what it was before its last commit, and that a commit is complete is told when
    `written` says that all of its rows arrived. `load` takes back what belongs to none. One process
    at a time writes the table.
    """

    def __init__(
        self, table: MutableMapping[bytes, bytes], written: Callable[[], Awaitable[None]]
    ) -> None:
        self._table = table
        self._written = written
        self._commit = 0
        #: Rows that are gone, and that the table has still to forget.
        self._gone: set[bytes] = set()

    async def load(self) -> dict[str, bytes] | None:
        """The rows of the last complete commit, None where there was none yet. Raises what
        `written` raises, and `Corrupt` where another process wrote the table meanwhile."""
        kept = self._table.get(_COMMITTED)
        self._commit = 0 if kept is None else _number(kept)
        self._gone.clear()
        found: dict[str, bytes] = {}
        for key, value in list(self._table.items()):
            if key != _COMMITTED and (now := self._taken_back(key, _row(value))) is not None:
                found[key.decode()] = now
        await self._written()
        return None if kept is None else found

    async def commit(self, changes: Mapping[str, bytes | None]) -> None:
        """Change these rows; None removes one. Raises what `written` raises: then nothing is
        certain, and `load` says what holds."""
        number = self._commit + 1
        gone, self._gone = self._gone, set()
        for name, now in changes.items():
            key = name.encode()
            gone.discard(key)
            kept = self._table.get(key)
            before = None if kept is None else _row(kept).now
            if now is None and before is None:
                if kept is not None:
                    gone.add(key)
                continue
            self._table[key] = _encode(_Row(number, now, before))
            if now is None:
                self._gone.add(key)
        for key in gone:
            del self._table[key]
        await self._written()
        self._table[_COMMITTED] = _encode(number)
        await self._written()
        self._commit = number

    def keys(self) -> list[str]:
        """Of all rows there are."""
        return [
            key.decode()
            for key, value in self._table.items()
            if key != _COMMITTED and _row(value).now is not None
        ]

    def _taken_back(self, key: bytes, row: _Row) -> bytes | None:
        """What the row is as of the last commit, and the table says so from now on."""
        if row.commit <= self._commit:
            if row.now is None:
                self._gone.add(key)
            return row.now
        if row.commit > self._commit + 1:
            raise Corrupt(
                "two_writers",
                "the table of the analytics was written by two processes at once: run"
                " `agent-orchestration analytics --rebuild`, one process at a time",
            )
        if row.before is None:
            del self._table[key]
        else:
            self._table[key] = _encode(_Row(self._commit, row.before, None))
        return row.before
