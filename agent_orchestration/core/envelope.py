"""Envelopes: a command or event with its metadata, and its form as a record of the log.

Records are CloudEvents 1.0 in binary mode: metadata in `ce_*` headers, the body as the value.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from agent_orchestration.core.entities import to_datetime
from agent_orchestration.core.messages import Command, Event, Principal, canonical

SOURCE = "/agent-orchestration"

_ADDRESS = re.compile(r"\d{1,6}/\S+")


class Record(msgspec.Struct, frozen=True, gc=False):
    """What is appended to the log: bytes, and headers by name."""

    key: bytes
    value: bytes
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as the log gives it back; `timestamp` is the log's own, in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Mapping[str, str]


class CommandEnvelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command on its way: who asked, under which key, caused by what, to be answered where.

    `waits_ms` is how long the caller waits for work to turn up where there is nothing to do;
    `copy` how often the same command was sent before, because no answer came.
    """

    id: str
    tenant: str
    type: str
    body: bytes
    principal: Principal
    key: str | None = None
    causation: str | None = None
    correlation: str | None = None
    traceparent: str | None = None
    reply_to: str | None = None
    waits_ms: int = 0
    copy: int = 0

    @property
    def receipt_key(self) -> str:
        """Under what the outcome is remembered: the caller's key in its scope, or the id."""
        if self.key is None:
            return f"id:{self.id}"
        # The type has no colon and the length says where the principal ends: no two keys meet.
        return f"key:{self.type}:{len(self.principal.id)}:{self.principal.id}:{self.key}"

    @property
    def body_hash(self) -> str:
        """Tells two bodies under one key apart."""
        return hashlib.sha256(self.body).hexdigest()[:32]

    def to_record(self) -> Record:
        """The record for the topic `commands`."""
        return Record(self.tenant.encode(), self.body, _headers(self, self._extra()))

    def _extra(self) -> Mapping[str, str | None]:
        return {
            "ce_actor": self.principal.id,
            "ce_role": self.principal.role,
            "ce_agent": self.principal.agent_id,
            "ce_key": self.key,
            "ce_replyto": self.reply_to,
            "ce_waits": str(self.waits_ms) if self.waits_ms else None,
            "ce_copy": str(self.copy) if self.copy else None,
        }

    @classmethod
    def from_record(cls, record: StoredRecord) -> "CommandEnvelope":
        """Back from the log; raises `ValueError` for a record that is not a command of ours."""
        headers = _checked(record)
        principal = Principal(headers["ce_actor"], headers["ce_role"], headers.get("ce_agent"))
        return cls(
            id=headers["ce_id"],
            tenant=headers["ce_tenant"],
            type=headers["ce_type"],
            body=record.value,
            principal=principal,
            key=headers.get("ce_key"),
            causation=headers.get("ce_causation"),
            correlation=headers.get("ce_correlation"),
            traceparent=headers.get("ce_traceparent"),
            reply_to=_address(headers.get("ce_replyto")),
            waits_ms=int(headers.get("ce_waits", "0")),
            copy=int(headers.get("ce_copy", "0")),
        )


class EventEnvelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event in its tenant's history.

    `seq` counts 1, 2, 3 …; `prev` is the digest of the predecessor; `at` the time of the command
    in milliseconds; `command_position` its (epoch, offset) in `commands`; `rules` the version of
    the rules that it was decided under (those kept before there were versions: 1).
    """

    tenant: str
    seq: int
    prev: str
    type: str
    version: int
    at: int
    body: bytes
    command_id: str
    command_position: tuple[int, int]
    actor: str
    receipt_key: str
    body_hash: str
    rules: int = 1
    causation: str | None = None
    correlation: str | None = None
    traceparent: str | None = None

    @property
    def id(self) -> str:
        """Unique among all events: the tenant and its sequence number."""
        return f"{self.tenant}:{self.seq}"

    @property
    def digest(self) -> str:
        """SHA-256 over the predecessor's digest and every fact of this event, 32 hex digits."""
        facts: tuple[str | int, ...] = (
            self.prev,
            self.tenant,
            self.seq,
            self.type,
            self.version,
            self.at,
            self.command_id,
            self.actor,
            self.receipt_key,
            self.body_hash,
        )
        # The digests of the events kept before there were versions stay as they are.
        if self.rules > 1:
            facts = (*facts, self.rules)
        return hashlib.sha256(canonical(facts) + self.body).hexdigest()[:32]

    def to_record(self) -> Record:
        """The record for the topic `events`."""
        epoch, offset = self.command_position
        extra = {
            "ce_seq": str(self.seq),
            "ce_prev": self.prev,
            "ce_time": to_datetime(self.at).isoformat().replace("+00:00", "Z"),
            "ce_dataversion": str(self.version),
            "ce_at": str(self.at),
            "ce_actor": self.actor,
            "ce_commandid": self.command_id,
            "ce_commandposition": f"{epoch}:{offset}",
            "ce_receiptkey": self.receipt_key,
            "ce_bodyhash": self.body_hash,
            "ce_rules": str(self.rules),
        }
        return Record(self.tenant.encode(), self.body, _headers(self, extra))

    @classmethod
    def from_record(cls, record: StoredRecord) -> "EventEnvelope":
        """Back from the log; raises `ValueError` for a record that is not an event of ours."""
        headers = _checked(record)
        epoch, _, offset = headers["ce_commandposition"].partition(":")
        return cls(
            tenant=headers["ce_tenant"],
            seq=int(headers["ce_seq"]),
            prev=headers["ce_prev"],
            type=headers["ce_type"],
            version=int(headers["ce_dataversion"]),
            at=int(headers["ce_at"]),
            body=record.value,
            command_id=headers["ce_commandid"],
            command_position=(int(epoch), int(offset)),
            actor=headers["ce_actor"],
            receipt_key=headers["ce_receiptkey"],
            body_hash=headers["ce_bodyhash"],
            rules=int(headers.get("ce_rules", "1")),
            causation=headers.get("ce_causation"),
            correlation=headers.get("ce_correlation"),
            traceparent=headers.get("ce_traceparent"),
        )


def _headers(envelope: Any, extra: Mapping[str, str | None]) -> dict[str, str]:
    headers: dict[str, str | None] = {
        "ce_specversion": "1.0",
        "ce_id": envelope.id,
        "ce_source": SOURCE,
        "ce_type": envelope.type,
        "ce_tenant": envelope.tenant,
        "content-type": "application/json",
        "ce_causation": envelope.causation,
        "ce_correlation": envelope.correlation,
        "ce_traceparent": envelope.traceparent,
        **extra,
    }
    return {name: value for name, value in headers.items() if value is not None}


class _Headers(dict[str, str]):
    def __missing__(self, name: str) -> str:
        raise ValueError(f"the record lacks the header {name}")


def _address(text: str | None) -> str | None:
    """Where a reply goes, `<partition>/<process>`."""
    if text is not None and not _ADDRESS.fullmatch(text):
        raise ValueError("ce_replyto is no address of a process")
    return text


def _checked(record: StoredRecord) -> Mapping[str, str]:
    headers = _Headers(record.headers)
    if headers["ce_specversion"] != "1.0" or headers["ce_source"] != SOURCE:
        raise ValueError("the record was not written by this platform")
    if headers["ce_tenant"].encode() != record.key:
        raise ValueError("the record's key is not its tenant")
    return headers


def event_body(event: Event) -> bytes:
    """The canonical body of an event."""
    return canonical(event)


def stored_form(event: Event, rules: int) -> tuple[int, bytes]:
    """The schema version and the canonical body that an event is kept in, decided under `rules`:
    every program that knows these rules writes the same bytes."""
    version = event.VERSION
    if event.SINCE_RULES.get(version, 1) <= rules:
        return version, event_body(event)
    body = msgspec.to_builtins(event)
    while event.SINCE_RULES.get(version, 1) > rules:
        version -= 1
        body = event.DOWNCASTERS[version](body)
    return version, canonical(body)


def command_body(command: Command) -> bytes:
    """The canonical body of a command."""
    return canonical(command)
