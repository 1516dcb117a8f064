"""The file of the embedded log: its format, migrations, statements and errors."""

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.backends.log import OutcomeUnknown, Topic
from agent_orchestration.backends.log.copy_mark import CopyMark, goes_on, unfinished
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt, Rejected, Unavailable

_decode_headers = msgspec.json.Decoder(dict[str, str]).decode
APPLICATION_ID = 0x414F4C47
"""Marks the file as ours in SQLite's header, so a foreign database is not mistaken for a log."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE topics (
            topic_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
            partitions INTEGER NOT NULL)""",
        """CREATE TABLE records (
            topic_id INTEGER NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, type TEXT, key BLOB NOT NULL, value BLOB NOT NULL,
            headers TEXT NOT NULL, PRIMARY KEY (topic_id, partition, "offset")) WITHOUT ROWID""",
        'CREATE INDEX records_by_type ON records (topic_id, partition, type, "offset")',
        """CREATE TABLE expired (
            topic_id INTEGER NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, PRIMARY KEY (topic_id, partition)) WITHOUT ROWID""",
        """CREATE TABLE positions (
            "group" TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
            epoch INTEGER NOT NULL, "offset" INTEGER NOT NULL,
            PRIMARY KEY ("group", topic, partition)) WITHOUT ROWID""",
        "PRAGMA application_id = 0x414F4C47",
        "PRAGMA user_version = 1",
    ),
)
"""Entry n lifts a file from format n to n + 1, in one transaction, and stores that number."""

# Every statement that runs after opening; "place" is (topic_id, partition).
INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
"""place, offset, timestamp, type, key, value, headers."""
LAST = """SELECT "offset", timestamp FROM records
    WHERE topic_id = ? AND partition = ? ORDER BY "offset" DESC LIMIT 1"""
RECORDS_FROM = """SELECT "offset", timestamp, key, value, headers FROM records
    WHERE topic_id = ? AND partition = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?"""
RECORDS_AT = """SELECT "offset", timestamp, key, value, headers FROM records
    WHERE topic_id = ? AND partition = ? AND "offset" IN (SELECT value FROM json_each(?))
    ORDER BY "offset" """
OFFSETS_OF_TYPE = """SELECT "offset" FROM records INDEXED BY records_by_type
    WHERE topic_id = ? AND partition = ? AND type = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?"""
FIRST_YOUNG = """SELECT "offset" FROM records
    WHERE topic_id = ? AND partition = ? AND "offset" < ? AND timestamp >= ?
    ORDER BY "offset" LIMIT 1"""
DELETE_BEFORE = 'DELETE FROM records WHERE topic_id = ? AND partition = ? AND "offset" < ?'
EXPIRED = "SELECT first, timestamp FROM expired WHERE topic_id = ? AND partition = ?"
"""Offset of the first record kept and time of the last one known when others were deleted."""
SET_EXPIRED = "INSERT OR REPLACE INTO expired VALUES (?, ?, ?, ?)"
POSITION = """SELECT epoch, "offset" FROM positions
    WHERE "group" = ? AND topic = ? AND partition = ?"""
NEEDED = 'SELECT coalesce(min("offset"), ?) FROM positions WHERE topic = ? AND partition = ?'
"""The first offset that some group has still to read; what no group reads, nobody needs."""
SET_POSITION = "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)"

_BUSY_SECONDS = 1.0
_SYNCHRONOUS = {False: "PRAGMA synchronous = NORMAL", True: "PRAGMA synchronous = FULL"}


class LogFile:
    """One connection to a log's file, and its errors as those of the platform."""

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self.path = path
        self._fsync = fsync
        self._connection: sqlite3.Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._connection is not None

    def rows(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        """The rows of a reading statement."""
        with self.explained():
            return self._connected().execute(statement, parameters).fetchall()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise self.closed()
        return self._connection

    def closed(self) -> Unavailable:
        """The error of whoever uses the log before its start or after its stop."""
        return Unavailable("log_closed", f"the log {self.path} is not open: start it first")

    def open(self) -> None:
        """Open or create the file and lift it to the newest format.

        Raises `Corrupt` for a file that is no log or of a newer format, `Unavailable` where it
        cannot be opened now.
        """
        with self.explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None
            )
            # Looked at first: a file that is not ours is left as it was found.
            version = self._version()
            self._connected().execute("PRAGMA journal_mode = WAL").fetchone()
            self._connected().execute(_SYNCHRONOUS[self._fsync])
        for migration in MIGRATIONS[version:]:
            with self.transaction() as db:
                for statement in migration:
                    db.execute(statement)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _version(self) -> int:
        (version,) = self._connected().execute("PRAGMA user_version").fetchone()
        (application,) = self._connected().execute("PRAGMA application_id").fetchone()
        (objects,) = self._connected().execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and (objects or version):
            reason = f"{self.path} is an SQLite database but no log: choose another file"
            raise Corrupt("log_unreadable", reason, path=str(self.path))
        if version > len(MIGRATIONS):
            reason = (
                f"{self.path} has format {version}, this program knows formats up to "
                f"{len(MIGRATIONS)}: use the version that wrote it, or a newer one"
            )
            raise Corrupt("log_format_newer", reason, path=str(self.path))
        return version

    def epoch(self, new: int) -> int:
        """The number stored when the log was made; `new` where there is none yet. Raises `Rejected`
        for an unfinished copy."""
        mark = self._mark(self._meta())
        if mark is not None and not mark.whole:
            raise unfinished("copy-log", self._remedy)
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (new,))
            return db.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()[0]

    def begin_copy(self, source: int, new: int) -> int:
        """The epoch of the log that is to be filled from the one whose epoch is `source`: later
        than that one and any of its own, and `new` if possible. Raises `Rejected`, see `goes_on`.
        """
        meta = self._meta()
        used = "SELECT EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM expired)"
        [(records,)] = self.rows(used, ())
        if goes_on(self._mark(meta), source, empty=not records, remedy=self._remedy):
            return meta["epoch"]
        epoch = max(new, source + 1, meta.get("epoch", 0) + 1)
        self._set_meta({"epoch": epoch, "copy_source": source, "copy_whole": 0})
        return epoch

    def end_copy(self) -> None:
        """The copy is whole."""
        self._set_meta({"copy_whole": 1})

    @property
    def _remedy(self) -> str:
        return f"move {self.path} and its -wal file away, or choose another folder with --data"

    def _meta(self) -> dict[str, int]:
        return dict(self.rows("SELECT name, value FROM meta", ()))

    def _set_meta(self, values: dict[str, int]) -> None:
        with self.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    @staticmethod
    def _mark(meta: dict[str, int]) -> CopyMark | None:
        source = meta.get("copy_source")
        return None if source is None else CopyMark(source, bool(meta["copy_whole"]))

    def topic_id(self, topic: Topic) -> int:
        """The number of a topic, made when missing; `Rejected` for a changed partition count."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO topics (name, partitions) VALUES (?, ?)",
                (topic.name, topic.partitions),
            )
            number, stored = db.execute(
                "SELECT topic_id, partitions FROM topics WHERE name = ?", (topic.name,)
            ).fetchone()
        if stored != topic.partitions:
            reason = (
                f"topic {topic.name} has {stored} partitions in {self.path} and "
                f"{topic.partitions} in the configuration: the count cannot change, set it back"
            )
            raise Rejected("partitions_changed", reason, field="partitions", topic=topic.name)
        return number

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Everything inside or nothing is written."""
        db = self._connected()
        with self.explained():
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def explained(self) -> Generator[None, None, None]:
        """Errors of SQLite and the file system as `Unavailable`, `OutcomeUnknown`, `Corrupt`."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_FSYNC":
                reason = f"{self.path}: {error}; whether the record was kept is unknown"
                raise OutcomeUnknown("log_outcome_unknown", reason) from error
            reason = (
                f"{self.path}: {error}; nothing was written. "
                "Check free space and permissions, then repeat"
            )
            raise Unavailable("log_unavailable", reason) from error
        except sqlite3.IntegrityError as error:
            reason = f"{self.path}: {error}; another process writes this log too: end one of them"
            raise Corrupt("log_two_writers", reason, path=str(self.path)) from error
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            reason = (
                f"{self.path}: {error}. Restore the file from a backup, or move it and its -wal "
                "file away to start with an empty log"
            )
            raise Corrupt("log_unreadable", reason, path=str(self.path)) from error


def record_of(topic: str, partition: int, row: tuple[int, int, Any, Any, Any]) -> StoredRecord:
    """The record in a row of (offset, timestamp, key, value, headers). Raises `Corrupt` for what
    somebody wrote there with another program."""
    offset, timestamp, key, value, headers = row
    try:
        if isinstance(key, bytes) and isinstance(value, bytes):
            decoded = _decode_headers(headers)
            return StoredRecord(topic, partition, offset, timestamp, key, value, decoded)
        why = "its key or value is text, not bytes"
    except (TypeError, ValueError) as error:
        why = f"its headers are unreadable: {error}"
    reason = f"{topic}/{partition}: the record at {offset} is damaged: {why}"
    raise Corrupt("log_unreadable", f"{reason}; bring it back from a backup")
