"""A topic as a file: lines that come back as they were, or not at all."""

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.backends.log.record_lines import Head, LineWriter, encode, row_of
from agent_orchestration.backends.log.topic_file import Kept, TopicFile, TopicHead, written
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
RECORDS = st.builds(
    StoredRecord,
    st.just("agent_events"),
    st.integers(0, 1),
    st.integers(0, 2**62),
    st.integers(0, 2**50),
    st.binary(),
    st.binary() | TEXT.map(str.encode),
    st.dictionaries(TEXT, TEXT),
)
HEAD = TopicHead(topic="agent_events", epoch=7, partitions=[Kept(0, 9), Kept(3, 9)])
SOME = [
    StoredRecord("agent_events", 0, 0, 5, b"ann", b'{"a":1}', {"ce_type": "X"}),
    StoredRecord("agent_events", 1, 3, 6, b"\xff", b"\x00\xfe\n", {}),
    StoredRecord("agent_events", 1, 4, 6, b"", b"", {}),
]


def write(path: Path, records: list[StoredRecord]) -> Path:
    with written(path) as file:
        lines = LineWriter(file, HEAD)
        for record in records:
            lines.add({"partition": record.partition, **row_of(record)})
        lines.end()
    return path


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_records_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    @given(st.lists(RECORDS, max_size=5))
    def examples(records: list[StoredRecord]) -> None:
        found = TopicFile(write(tmp_path / name, records))
        assert found.head() == HEAD
        assert list(found.records()) == records

    examples()
    assert [path.name for path in tmp_path.iterdir()] == [name], "and nothing else is left"


def test_a_file_can_be_read_with_any_tool_and_is_the_same_each_time(tmp_path: Path) -> None:
    plain, packed = write(tmp_path / "x.json", SOME), write(tmp_path / "x.gz", SOME)
    head, *rows, last = [json.loads(line) for line in plain.read_bytes().splitlines()]
    assert (head["topic"], head["partitions"][1]) == ("agent_events", {"first": 3, "next": 9})
    assert [(row["partition"], row["offset"]) for row in rows] == [(0, 0), (1, 3), (1, 4)]
    assert (rows[0]["key"], rows[0]["value"], rows[1]["key64"]) == ("ann", '{"a":1}', "/w==")
    assert last["records"] == 3
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert write(tmp_path / "y.gz", SOME).read_bytes() == packed.read_bytes()


@pytest.mark.parametrize("name", ["x.json", "x.gz"])
def test_any_damage_is_found(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, SOME)
    data = path.read_bytes()
    for at in range(len(data) - 1):  # the last byte may be a line's end, which nobody misses
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            if name == "x.gz" and len(damaged) == len(data) and 3 <= at < 10:
                continue  # what gzip says of itself
            path.write_bytes(damaged)
            with pytest.raises(Corrupt, match=f"{name} is damaged: .*; bring it back"):
                list(TopicFile(path).records())


def test_lines_left_out_or_changed_places_are_found(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", SOME)
    head, *rows, last = path.read_bytes().splitlines(keepends=True)
    for edited in ([head, *rows[1:], last], [head, rows[1], rows[0], *rows[2:], last], [head]):
        path.write_bytes(b"".join(edited))
        with pytest.raises(Corrupt, match="is damaged"):
            list(TopicFile(path).records())


def test_a_segment_of_the_archive_is_no_topic(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(encode(Head("events", 0, 7, 0, 1), SOME[:1]))
    with pytest.raises(Corrupt, match="missing required field `partitions`"):
        TopicFile(path).head()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"format":2,"whatever":1}\n')
    with pytest.raises(Corrupt, match="newer than this program"):
        TopicFile(path).head()


def test_what_fails_leaves_the_file_of_that_name_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", SOME)
    before = path.read_bytes()

    def fail() -> None:
        with written(path) as file:
            file.write(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["x.gz"]


def test_it_is_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that would never end: its first records come, though there is no last line."""
    line = write(tmp_path / "x.json", SOME).read_bytes().splitlines(keepends=True)

    class Endless:
        def __enter__(self) -> Iterator[bytes]:
            return itertools.chain([line[0]], itertools.repeat(line[1]))

        def __exit__(self, *_error: object) -> None: ...

    def opened(_file: TopicFile) -> Endless:
        return Endless()

    monkeypatch.setattr(TopicFile, "_opened", opened)
    found = list(itertools.islice(TopicFile(tmp_path / "x.json").records(), 100_000))
    assert found == [SOME[0]] * 100_000
