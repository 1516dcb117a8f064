"""Stored forms: events of every version, records of the log, and bytes that are none of ours."""

import json
from pathlib import Path

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import (
    CommandEnvelope,
    EventEnvelope,
    Record,
    StoredRecord,
    command_body,
)
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.core.messages import Principal, canonical
from agent_orchestration.domain.agents.events import AgentRegistered
from agent_orchestration.domain.agents.model import Skill
from tests.unit.domain import START, Domain, replay, snapshot
from tests.unit.examples import agent, claim, task

KEPT = sorted((Path(__file__).parent / "kept_events").glob("*.json"))
COMMAND = CommandEnvelope(
    id="c-1",
    tenant="acme",
    type="CreateTask",
    body=command_body(task()),
    principal=Principal("eve", "agent", "ann"),
    key="once",
    causation="acme:7",
    correlation="talk",
    traceparent="00-ab-cd-01",
    reply_to="3/here",
)
EVENT = EventEnvelope(
    tenant="acme",
    seq=8,
    prev="ab" * 16,
    type="TaskReleased",
    version=1,
    at=START,
    body=b'{"task_id":"parse"}',
    command_id="c-1",
    command_position=(3, 12),
    actor="eve",
    receipt_key=COMMAND.receipt_key,
    body_hash=COMMAND.body_hash,
    causation="acme:7",
    correlation="talk",
    traceparent="00-ab-cd-01",
)


def kept(path: Path) -> tuple[str, int, bytes]:
    """The type, version and body of a kept event."""
    name, version, _ = path.name.split(".")
    return name, int(version), path.read_bytes()


# ── events of every version


def test_every_version_of_every_event_has_a_kept_example() -> None:
    wanted = {
        f"{name}.{version}.json"
        for name, event in REGISTRY.events.items()
        for version in range(1, event.VERSION + 1)
    }
    assert {path.name for path in KEPT} == wanted


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_events_can_be_read_for_ever(path: Path) -> None:
    name, version, body = kept(path)
    event = REGISTRY.decode_event(name, version, body)
    if version == event.VERSION:
        assert json.loads(canonical(event)) == json.loads(body)


def test_an_agent_registered_before_there_were_labels_has_none() -> None:
    body = (Path(__file__).parent / "kept_events" / "AgentRegistered.1.json").read_bytes()
    assert REGISTRY.decode_event("AgentRegistered", 1, body) == AgentRegistered(
        agent_id="ann",
        name="Ann",
        kind="llm",
        skills=(Skill("python", 800), Skill("sql", 1000)),
        labels={},
        max_concurrency=2,
        heartbeat_seconds=30,
    )


@pytest.mark.parametrize(
    ("name", "version"),
    [("AgentRegistered", 4), ("TaskReleased", 2), ("TaskReleased", 10**9), ("AgentDreamed", 1)],
)
def test_an_unknown_event_stops_the_reader(name: str, version: int) -> None:
    with pytest.raises(Corrupt, match=f"{name} v{version} is not known") as caught:
        REGISTRY.decode_event(name, version, b'{"task_id":"parse"}')
    assert caught.value.code == "unknown_event"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"task_id":7}',
        b'{"task_id":"\xff"}',
        b'{"\xff":1}',
        b"\x00",
        b"[" * 100_000,
        b'{"leases":' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize(
    ("name", "version"),
    [("TaskReleased", 1), ("AgentCameOnline", 1), ("AgentRegistered", 1), ("AgentRegistered", 0)],
)
def test_unreadable_events_stop_the_reader(name: str, version: int, body: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        REGISTRY.decode_event(name, version, body)
    assert caught.value.code == "unreadable_event"


def test_an_event_with_a_field_of_a_later_program_can_be_read() -> None:
    body = b'{"task_id":"parse","colour":"red"}'
    assert REGISTRY.decode_event("TaskReleased", 1, body).reply() == {"task_id": "parse"}


def test_a_command_with_an_unknown_field_cannot() -> None:
    with pytest.raises(msgspec.ValidationError, match="colour"):
        REGISTRY.decode_command("CancelTask", b'{"task_id":"parse","colour":"red"}')
    with pytest.raises(msgspec.ValidationError, match="unknown command"):
        REGISTRY.decode_command("DropTask", b"{}")


@pytest.mark.parametrize("task_id", ["", "-a", "a b", "a/b", "a\n", "ä", "a" * 129, "a\x00"])
def test_a_command_holds_no_other_ids_than_the_tools_take(task_id: str) -> None:
    body = json.dumps({"task_id": task_id}).encode()
    with pytest.raises(msgspec.ValidationError):
        REGISTRY.decode_command("CancelTask", body)


# ── records


def stored(record: Record) -> StoredRecord:
    return StoredRecord("topic", 0, 5, START, record.key, record.value, record.headers)


def test_commands_survive_the_log() -> None:
    bare = CommandEnvelope(
        id="c", tenant="t", type="X", body=b"{}", principal=Principal("p", "admin")
    )
    for envelope in (COMMAND, bare):
        assert CommandEnvelope.from_record(stored(envelope.to_record())) == envelope


def test_events_survive_the_log() -> None:
    bare = msgspec.structs.replace(EVENT, causation=None, correlation=None, traceparent=None)
    for envelope in (EVENT, bare):
        back = EventEnvelope.from_record(stored(envelope.to_record()))
        assert back == envelope
        assert back.digest == envelope.digest


def test_a_record_names_its_tenant_as_key_and_its_metadata_as_cloud_events_do() -> None:
    record = EVENT.to_record()
    assert record.key == b"acme"
    assert record.headers["ce_id"] == "acme:8"
    assert record.headers["ce_specversion"] == "1.0"
    assert record.headers["ce_time"] == "2023-11-14T22:13:20Z"
    assert None not in record.headers.values()


@pytest.mark.parametrize(
    "change",
    [
        {"ce_specversion": "0.3"},
        {"ce_source": "/elsewhere"},
        {"ce_tenant": "other"},
        {"ce_seq": "eight"},
        {"ce_commandposition": "3"},
        *({name: None} for name in ("ce_id", "ce_tenant", "ce_seq", "ce_prev", "ce_bodyhash")),
    ],
)
def test_a_record_that_is_not_ours_is_told_apart(change: dict[str, str | None]) -> None:
    record = EVENT.to_record()
    headers = {k: v for k, v in {**record.headers, **change}.items() if v is not None}
    if "ce_id" in change:
        headers.pop("ce_specversion")
    with pytest.raises(ValueError, match=r"."):
        EventEnvelope.from_record(stored(Record(record.key, record.value, headers)))


# ── digests and keys


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "other"},
        {"seq": 9},
        {"prev": "cd" * 16},
        {"type": "TaskReleased2"},
        {"version": 2},
        {"at": START + 1},
        {"body": b'{"task_id":"parsf"}'},
        {"command_id": "c-2"},
        {"actor": "ann"},
        {"receipt_key": "id:c"},
        {"body_hash": "0"},
        {"rules": 2},
    ],
)
def test_the_digest_covers_every_fact(change: dict[str, object]) -> None:
    assert msgspec.structs.replace(EVENT, **change).digest != EVENT.digest


def test_without_a_key_the_command_id_is_the_key() -> None:
    assert msgspec.structs.replace(COMMAND, key=None).receipt_key == "id:c-1"


def test_keys_of_different_callers_and_tools_never_meet() -> None:
    def key(principal: str, command: str, key: str) -> str:
        who = Principal(principal, "admin")
        return msgspec.structs.replace(COMMAND, principal=who, type=command, key=key).receipt_key

    keys = [
        key("a", "CreateTask", "k"),
        key("b", "CreateTask", "k"),
        key("a", "CancelTask", "k"),
        key("a", "CreateTask", "l"),
        key("a", "CreateTask", "CreateTask:k"),
        key("a:CreateTask", "CreateTask", "k"),
    ]
    assert len(set(keys)) == len(keys)


# ── the chain


def test_a_history_folds_to_the_same_state_again() -> None:
    domain = Domain().given(agent(), task(), claim())
    assert snapshot(replay(domain.history)) == domain.snapshot()


def test_a_gap_in_the_history_stops_the_reader() -> None:
    domain = Domain().given(agent(), task(), claim())
    with pytest.raises(Corrupt) as caught:
        replay([domain.history[0], domain.history[2]])
    assert caught.value.code == "gap"
    with pytest.raises(Corrupt):
        replay([domain.history[0], domain.history[0]])


def test_a_history_that_was_tampered_with_stops_the_reader() -> None:
    first, second, *_ = Domain().given(agent(), task(), claim()).history
    for change in ({"actor": "eve"}, {"at": START + 1}, {"body_hash": "0"}):
        with pytest.raises(Corrupt) as caught:
            replay([msgspec.structs.replace(first, **change), second])
        assert caught.value.code == "broken_chain"


def test_an_event_about_nobody_known_stops_the_reader() -> None:
    with pytest.raises(Corrupt) as caught:
        replay([msgspec.structs.replace(EVENT, seq=1, prev="0" * 32, tenant="default")])
    assert caught.value.code == "missing_entity"
