"""The logs that earlier versions wrote (see `tests/integration/keep_log.py`), ready to be read."""

import json
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, Record, StoredRecord
from agent_orchestration.core.state import TenantState
from agent_orchestration.pipeline.deciding import Asked
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, SYSTEM_EVENTS, topics
from tests.unit.domain import replay

FOLDER = Path(__file__).parent / "kept_logs"
VERSIONS = sorted(path.name for path in FOLDER.iterdir())


class KeptLog:
    """The log that a version wrote, and what its graph showed in the end.

    `records` by topic; `events` and `commands` by tenant, in order; `nodes` by label.
    """

    def __init__(self, version: str) -> None:
        self.records: dict[str, list[StoredRecord]] = {COMMANDS: [], EVENTS: [], SYSTEM_EVENTS: []}
        for line in (FOLDER / version / "records.jsonl").read_text("utf-8").splitlines():
            record = stored(json.loads(line))
            self.records[record.topic].append(record)
        shown: dict[str, Any] = json.loads((FOLDER / version / "graph.json").read_text("utf-8"))
        self.fingerprint: str = shown["fingerprint"]
        self.nodes: dict[str, list[dict[str, Any]]] = shown["nodes"]
        self.events: dict[str, list[EventEnvelope]] = {}
        for record in self.records[EVENTS]:
            envelope = EventEnvelope.from_record(record)
            self.events.setdefault(envelope.tenant, []).append(envelope)
        [self.epoch] = {e.command_position[0] for its in self.events.values() for e in its}
        self.commands: dict[str, list[Asked]] = {}
        for record in self.records[COMMANDS]:
            asked = self._asked(record)
            self.commands.setdefault(asked.envelope.tenant, []).append(asked)
        self.end = max(record.timestamp for its in self.records.values() for record in its)

    def _asked(self, record: StoredRecord) -> Asked:
        envelope = CommandEnvelope.from_record(record)
        command = REGISTRY.decode_command(envelope.type, envelope.body)
        return Asked(envelope, command, (self.epoch, record.offset), record.timestamp)

    def before(self, asked: Asked) -> TenantState:
        """The tenant's state as it was when the command was decided."""
        tenant = asked.envelope.tenant
        earlier = [e for e in self.events[tenant] if e.command_position < asked.position]
        return replay(earlier, tenant)

    def led_to(self, asked: Asked) -> StoredRecord | None:
        """The event's record that the command led to."""
        found = [
            record
            for record in self.records[EVENTS]
            if record.headers["ce_commandid"] == asked.envelope.id
        ]
        return found[0] if found else None

    async def restore(self, folder: Path) -> None:
        """Write the log as that version left it in a data folder."""
        now = [self.epoch]
        log = SqliteLog(folder / "log.sqlite", topics(REGISTRY), lambda: now[0])
        await log.start()
        for topic, records in self.records.items():
            now[0] = self.epoch
            for record in records:
                now[0] = record.timestamp
                written = Record(record.key, record.value, dict(record.headers))
                [stamp] = await log.append(topic, record.partition, [written])
                assert (stamp.offset, stamp.timestamp) == (record.offset, record.timestamp)
        await log.stop()


def stored(line: dict[str, Any]) -> StoredRecord:
    """A line of the file as the log would give it back."""
    fields = {**line, "key": line["headers"]["ce_tenant"].encode(), "value": line["value"].encode()}
    return msgspec.convert(fields, StoredRecord)
