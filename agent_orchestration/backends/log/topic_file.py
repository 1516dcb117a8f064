"""A whole topic as a file: its records as JSON lines, partition after partition, each in the order
of its offsets."""

import contextlib
import gzip
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from agent_orchestration.backends.log.record_lines import (
    LEVEL,
    FileHead,
    checked,
    explained,
    head_of,
    record_of,
)
from agent_orchestration.core.envelope import StoredRecord


class Kept(msgspec.Struct, frozen=True):
    """What a partition had: the records from the offset `first` on and before `next`."""

    first: int
    next: int


class TopicHead(FileHead, frozen=True):
    """What a file has: the records of a topic, by partition; `epoch` is the log's. Its lines have
    the number of the `partition` in front of what those of a segment have."""

    topic: str
    epoch: int
    partitions: list[Kept]


class TopicFile:
    """A file with a topic, compressed where its name ends in `.gz`. It may be larger than memory:
    only who has read all of its records knows that it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = str(path)

    def head(self) -> TopicHead:
        """What the file says that it has. Raises `Corrupt`."""
        with explained(self._name), self._opened() as file:
            return head_of(file.readline(), TopicHead)

    def records(self) -> Iterator[StoredRecord]:
        """The records, one by one. Raises `Corrupt`, at the latest after the last one, where the
        file is not what was written."""
        with explained(self._name), self._opened() as file:
            lines = checked(file)
            head = head_of(next(lines, b""), TopicHead)
            for line in lines:
                row: dict[str, Any] = msgspec.json.decode(line)
                partition = row["partition"]
                if not 0 <= partition < len(head.partitions):
                    raise ValueError(f"it has no partition {partition}")
                yield record_of(head.topic, partition, row)

    def _opened(self) -> BinaryIO:
        if _packed(self._path):
            return cast("BinaryIO", gzip.open(self._path))
        return self._path.open("rb")


@contextlib.contextmanager
def written(path: Path) -> Generator[BinaryIO]:
    """A file to write to, which has its name once it is whole; what had it before is replaced.
    Compressed where the name ends in `.gz`. Raises `OSError`."""
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("wb") as file:
            if _packed(path):
                with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _packed(path: Path) -> bool:
    return path.suffix == ".gz"
