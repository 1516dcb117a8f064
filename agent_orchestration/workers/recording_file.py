"""The file in which one task's answers of models and tools are recorded.

Lines of JSON that are only ever added: `{"sum": SHA-256 of the entry's bytes, "entry": {…}}`.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import msgspec

from agent_orchestration.backends.llm import ChatAnswer
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.workers.paying import Bill

#: Of the members of a request; of a list one for each item.
Digests = Mapping[str, str | list[str]]

logger = logging.getLogger(__name__)


class Question(msgspec.Struct, frozen=True):
    """What was asked. `place` is where in the task's conversation, such as `call 3 of the model`;
    `request` has the digests of what was asked there, after redaction."""

    place: str
    request: Digests


class ModelEntry(msgspec.Struct, frozen=True, tag="model", tag_field="of"):
    """What a model answered, and what that cost; None where nobody has to pay for it."""

    question: Question
    answer: ChatAnswer
    bill: Bill | None


class ToolEntry(msgspec.Struct, frozen=True, tag="tool", tag_field="of"):
    """What a tool answered, as the model is told it."""

    question: Question
    answer: str


Entry = ModelEntry | ToolEntry


class _Line(msgspec.Struct, frozen=True):
    sum: str
    entry: msgspec.Raw


def read(path: Path) -> tuple[list[Entry], int]:
    """What is recorded in a file, which may be missing, and after how many bytes the next line
    begins: a last line that was not written to its end does not count.

    Raises `Corrupt` for a damaged line that others follow, `Unavailable` where it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise _unusable(path, error) from error
    entries: list[Entry] = []
    size = 0
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            entries.append(_decoded(line))
        except ValueError as error:
            if number < len(lines) or rest:
                raise _damaged(path, number, error) from error
            break
        size += len(line) + 1
    if size < len(data):
        logger.warning("%s: the last line was not written to its end and is left out", path)
    return entries, size


class Writer:
    """Adds to a file after its first `size` bytes; what follows them is dropped. Raises
    `Unavailable` where that fails, such as on a full disk."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        try:
            self._file = _opened(path, size)
        except OSError as error:
            raise _unusable(path, error) from error

    def add(self, entry: Entry) -> None:
        """Write the entry; it is on the disk when this returns."""
        encoded = msgspec.json.encode(entry)
        line = _Line(hashlib.sha256(encoded).hexdigest(), msgspec.Raw(encoded))
        left = memoryview(msgspec.json.encode(line) + b"\n")
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unusable(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(path: Path, size: int) -> FileIO:
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    file.truncate(size)
    file.seek(size)
    if os.name == "posix":
        # The file is found after a power cut only if its folder is on the disk, too.
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    return file


def _decoded(text: bytes) -> Entry:
    """Raises `ValueError`."""
    line = msgspec.json.decode(text, type=_Line)
    if hashlib.sha256(line.entry).hexdigest() != line.sum:
        raise ValueError("its checksum does not fit")
    return msgspec.json.decode(line.entry, type=Entry)


def _damaged(path: Path, number: int, error: ValueError) -> Corrupt:
    reason = (
        f"{path}, line {number}: {error}; bring the file back from a copy, or remove it to have"
        " everything asked anew"
    )
    return Corrupt("recording_damaged", reason, file=str(path), line=number)


def _unusable(path: Path, error: OSError) -> Unavailable:
    reason = f"{path} cannot be used: {error.strerror or error}; see to its disk and its rights"
    return Unavailable("recording_unusable", reason, file=str(path))
