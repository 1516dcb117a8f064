"""Recordings on the disk: cut anywhere, damaged anywhere, on a full disk."""

import errno
import os
from pathlib import Path

import pytest

from agent_orchestration.backends.llm import ChatAnswer, ToolCall, Usage
from agent_orchestration.core.errors import Corrupt, Unavailable
from agent_orchestration.workers.paying import Bill
from agent_orchestration.workers.recording_file import (
    Entry,
    ModelEntry,
    Question,
    ToolEntry,
    Writer,
    read,
)

ANSWER = ChatAnswer(
    "Möwe", (ToolCall("a", "look", "{}"),), "tool_calls", "m", Usage(9, 8, 7), 0.5, 1
)
ENTRIES: list[Entry] = [
    ModelEntry(
        Question("call 1 of the model", {"messages": ["a", "b"], "model": "c"}),
        ANSWER,
        Bill("call-1", "ann", 35, 9, 8, 7, 500),
    ),
    ToolEntry(Question("tool call a after call 1 of the model", {"name": "d"}), "sea"),
    ToolEntry(Question("tool call b after call 1 of the model", {"name": "e"}), ""),
]


def written(path: Path, entries: list[Entry], size: int = 0) -> bytes:
    writer = Writer(path, size)
    for entry in entries:
        writer.add(entry)
    writer.close()
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.jsonl"


def test_what_was_written_is_read(path: Path) -> None:
    data = written(path, ENTRIES)
    assert read(path) == (ENTRIES, len(data))
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_is_not_there_is_empty(path: Path) -> None:
    assert read(path) == ([], 0)


def test_a_file_that_was_cut_anywhere_goes_on_after_its_last_whole_line(path: Path) -> None:
    data = written(path, ENTRIES)
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        entries, size = read(path)
        assert entries == ENTRIES[: data[:cut].count(b"\n")]
        assert data[:size].count(b"\n") == len(entries)
        assert written(path, ENTRIES[len(entries) :], size) == data


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("part", [b'"sum":"', b'"answer":', b'{"', b'"}'])
def test_a_damaged_line_in_the_middle_is_named(path: Path, number: int, part: bytes) -> None:
    lines = written(path, ENTRIES).splitlines(keepends=True)
    line = lines[number - 1]
    at = line.index(part) + len(part)
    lines[number - 1] = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
    path.write_bytes(b"".join(lines))
    with pytest.raises(Corrupt) as raised:
        read(path)
    assert raised.value.code == "recording_damaged"
    assert raised.value.details == {"file": str(path), "line": number}
    assert "bring the file back from a copy" in raised.value.reason


def test_a_last_line_that_is_not_what_was_written_does_not_count(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = written(path, ENTRIES)
    last = data.splitlines(keepends=True)[-1]
    path.write_bytes(data[: -len(last)] + b"\0" * (len(last) - 1) + b"\n")
    assert read(path) == (ENTRIES[:2], len(data) - len(last))
    assert "was not written to its end" in caplog.text


def test_a_line_without_its_end_before_which_one_is_damaged_is_none_in_the_middle(
    path: Path,
) -> None:
    data = written(path, ENTRIES)
    lines = data.splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{}\n" + lines[2][:9])
    with pytest.raises(Corrupt) as raised:
        read(path)
    assert raised.value.details["line"] == 2


def test_a_full_disk_is_unavailable_and_the_file_goes_on_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = written(path, ENTRIES[:1])
    with monkeypatch.context() as patch:
        writer = Writer(path, len(data))
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left") as raised:
            writer.add(ENTRIES[1])
        writer.close()
    assert raised.value.code == "recording_unusable"
    entries, size = read(path)
    assert written(path, ENTRIES[len(entries) :], size).startswith(data)
    assert read(path)[0] == ENTRIES


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=str(tmp_path)):
        Writer(tmp_path, 0)
    with pytest.raises(Unavailable, match=str(tmp_path)):
        read(tmp_path)
