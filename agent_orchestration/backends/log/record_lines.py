"""Records as text: JSON lines that can be read with any tool, and checked.

The first line says what the file is, each line between a record, the last one how many there are
and the SHA-256 of everything before it. Keys and values that are no UTF-8 text are base64, under
the names `key64` and `value64`. Segments of the archive are such files, compressed, of one
partition; see `topic_file` for those of a whole topic.
"""

import base64
import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

import msgspec

from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

FORMAT = 1
LEVEL = 6
"""How hard gzip tries."""


class FileHead(msgspec.Struct, frozen=True, kw_only=True):
    """What every first line has: the format of the file."""

    format: int = FORMAT


class Head(FileHead, frozen=True):
    """What a segment has: records of one partition of a topic, from the offset `first` on and
    before `next`; `epoch` is the log's."""

    topic: str
    partition: int
    epoch: int
    first: int
    next: int


H = TypeVar("H", bound=FileHead)


class LineWriter:
    """Writes the lines of a file one by one; `records` counts those between first and last."""

    def __init__(self, file: BinaryIO, head: FileHead) -> None:
        self.records = 0
        self._file = file
        self._digest = hashlib.sha256()
        self._put(head)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the line of a record."""
        self._put(row)
        self.records += 1

    def end(self) -> None:
        """Write the last line, by which the others are checked."""
        self._put({"records": self.records, "sha256": self._digest.hexdigest()})

    def _put(self, value: Any) -> None:
        line = msgspec.json.encode(value) + b"\n"
        self._digest.update(line)
        self._file.write(line)


def checked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines before the last one, each as it is read. Raises `ValueError`, after the others,
    where the last one says that they are not those that were written."""
    digest, count, last = hashlib.sha256(), 0, b""
    for line in lines:
        if last:
            digest.update(last)
            count += 1
            yield last
        last = line
    if msgspec.json.decode(last) != {"records": count - 1, "sha256": digest.hexdigest()}:
        raise ValueError("its checksum does not fit")


def head_of(line: bytes, kind: type[H]) -> H:
    """What the first line says. Raises `ValueError` for another kind of file, a newer format."""
    version = msgspec.json.decode(line, type=FileHead).format
    if version > FORMAT:
        raise ValueError(f"its format {version} is newer than this program")
    return msgspec.json.decode(line, type=kind)


@contextlib.contextmanager
def explained(name: str) -> Generator[None]:
    """What goes wrong in reading the file of that name as `Corrupt`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        reason = f"{name} is damaged: {error}; bring it back from a copy"
        raise Corrupt("file_damaged", reason, file=name) from error


def encode(head: Head, records: Iterable[StoredRecord]) -> bytes:
    """The segment; the same records make the same bytes."""
    text = io.BytesIO()
    lines = LineWriter(text, head)
    for one in records:
        lines.add(row_of(one))
    lines.end()
    return gzip.compress(text.getvalue(), LEVEL, mtime=0)


def decode(name: str, data: bytes) -> tuple[Head, list[StoredRecord]]:
    """What is in a segment. Raises `Corrupt` where it is not whole, or of a newer format."""
    with explained(name):
        first, *lines = checked(io.BytesIO(gzip.decompress(data)))
        head = head_of(first, Head)
        rows = [msgspec.json.decode(line) for line in lines]
        return head, [record_of(head.topic, head.partition, row) for row in rows]


def row_of(record: StoredRecord) -> dict[str, Any]:
    """The record as plain values, without its topic and partition."""
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        **_text("key", record.key),
        **_text("value", record.value),
        "headers": record.headers,
    }


def _text(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}64": base64.b64encode(data).decode()}


def _bytes(name: str, row: Mapping[str, Any]) -> bytes:
    if name in row:
        return row[name].encode()
    return base64.b64decode(row[f"{name}64"], validate=True)


def record_of(topic: str, partition: int, row: Mapping[str, Any]) -> StoredRecord:
    """The inverse of `row_of`. Raises `KeyError`, `TypeError` and `ValueError`."""
    return StoredRecord(
        topic,
        partition,
        row["offset"],
        row["timestamp"],
        _bytes("key", row),
        _bytes("value", row),
        dict(row["headers"]),
    )
