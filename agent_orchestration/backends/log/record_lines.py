"""Records as text: a compressed file of JSON lines that can be read with any tool, and checked.

The first line says what the file is, each line between a record, the last one how many there are
and the SHA-256 of everything before it. Keys and values that are no UTF-8 text are base64, under
the names `key64` and `value64`.
"""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

FORMAT = 1
_LEVEL = 6


class Head(msgspec.Struct, frozen=True):
    """What a file has: records of one partition of a topic, from the offset `first` on and before
    `next`; `epoch` is the log's."""

    topic: str
    partition: int
    epoch: int
    first: int
    next: int
    format: int = FORMAT


def encode(head: Head, records: Iterable[StoredRecord]) -> bytes:
    """The file; the same records make the same bytes."""
    lines = [msgspec.json.encode(head), *(msgspec.json.encode(_row(one)) for one in records)]
    body = b"\n".join(lines) + b"\n"
    last = {"records": len(lines) - 1, "sha256": hashlib.sha256(body).hexdigest()}
    return gzip.compress(body + msgspec.json.encode(last) + b"\n", _LEVEL, mtime=0)


def decode(name: str, data: bytes) -> tuple[Head, list[StoredRecord]]:
    """What is in a file. Raises `Corrupt` where it is not whole, or of a newer format."""
    try:
        text = gzip.decompress(data)
        body, last = text[: text.rindex(b"\n", 0, -1) + 1], text[text.rindex(b"\n", 0, -1) + 1 :]
        told: dict[str, Any] = msgspec.json.decode(last)
        lines = body.splitlines()
        if told != {"records": len(lines) - 1, "sha256": hashlib.sha256(body).hexdigest()}:
            raise ValueError("its checksum does not fit")
        head = msgspec.json.decode(lines[0], type=Head)
        if head.format > FORMAT:
            raise ValueError(f"its format {head.format} is newer than this program")
        return head, [_record(head, msgspec.json.decode(line)) for line in lines[1:]]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        reason = f"{name} is damaged: {error}; bring it back from a copy"
        raise Corrupt("file_damaged", reason, file=name) from error


def _row(record: StoredRecord) -> dict[str, Any]:
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


def _record(head: Head, row: Mapping[str, Any]) -> StoredRecord:
    return StoredRecord(
        head.topic,
        head.partition,
        row["offset"],
        row["timestamp"],
        _bytes("key", row),
        _bytes("value", row),
        dict(row["headers"]),
    )
