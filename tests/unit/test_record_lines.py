"""Records as lines of text, compressed and checked."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.backends.log.record_lines import Head, decode, encode
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.core.errors import Corrupt

HEAD = Head("events", 3, 7, 10, 12)
RECORDS = [
    StoredRecord("events", 3, 10, 1_700_000_000_000, b"acme", b'{"a":1}', {"ce_type": "X"}),
    StoredRecord("events", 3, 11, 1_700_000_000_001, b"\xff", b"\x00\xfe\n", {}),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ANY = st.builds(
    StoredRecord,
    st.just("events"),
    st.just(3),
    st.integers(0, 2**62),
    st.integers(0, 2**50),
    st.binary(),
    st.binary() | TEXT.map(str.encode),
    st.dictionaries(TEXT, TEXT),
)


@given(st.lists(ANY, max_size=5))
def test_records_come_back_as_they_were(records: list[StoredRecord]) -> None:
    data = encode(HEAD, records)
    assert decode("x", data) == (HEAD, records)
    assert encode(HEAD, records) == data


def test_a_file_can_be_read_with_any_tool() -> None:
    lines = [json.loads(line) for line in gzip.decompress(encode(HEAD, RECORDS)).splitlines()]
    assert lines[0]["topic"] == "events"
    assert lines[1]["key"] == "acme"
    assert lines[1]["value"] == '{"a":1}'
    assert lines[2]["key64"] == "/w=="
    assert lines[3]["records"] == 2


def test_any_damage_is_found() -> None:
    data = encode(HEAD, RECORDS)
    text = gzip.decompress(data)
    for at in range(len(data)):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            if len(damaged) == len(data) and 3 <= at < 10:
                assert decode("x", damaged)[1] == RECORDS, "what gzip says of itself"
                continue
            with pytest.raises(Corrupt, match="bring it back"):
                decode("x", damaged)
    for at in range(len(text)):
        with pytest.raises(Corrupt):
            decode("x", gzip.compress(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]))


def test_a_newer_format_is_refused() -> None:
    newer = Head("events", 3, 7, 10, 12, format=2)
    with pytest.raises(Corrupt, match="newer than this program"):
        decode("x", encode(newer, RECORDS))
