"""What holds for every record of a tenant's history, whatever it says."""

import hashlib

from tests.e2e.log_entities import Record, Violation, digest

GENESIS = "0" * 32
KEY_MEMORY_MS = 24 * 60 * 60 * 1000


class Chain:
    """A history so far: `seq` and `at` of its last event, the rules in force, and the broken
    promises."""

    def __init__(self, name: str, commands: dict[tuple[int, int], Record]) -> None:
        self.name = name
        self.violations: list[Violation] = []
        self.seq = 0
        self.at = 0
        self.rules = 1
        self._digest = GENESIS
        self._partition: int | None = None
        self._command_ids: set[str] = set()
        self._keys: dict[str, int] = {}
        self._commands = commands

    def wrong(self, rule: str, detail: str) -> None:
        """Note a broken promise at the present event."""
        self.violations.append(Violation(self.name, self.seq, rule, detail))

    def check_chain(self, record: Record) -> None:
        """The event follows the one before it."""
        headers = record.headers
        seq, at = int(headers["ce_seq"]), int(headers["ce_at"])
        if seq != self.seq + 1:
            self.wrong("seq without gaps", f"{seq} comes after {self.seq}")
        rules = int(headers.get("ce_rules", 1))
        if self.seq == 0:
            self.rules = rules
        elif rules != self.rules:
            self.wrong("rules in force", f"decided under {rules}, but {self.rules} are in force")
        self.seq = seq
        if headers["ce_prev"] != self._digest:
            self.wrong("prev chain", f"prev {headers['ce_prev']}, predecessor {self._digest}")
        if self._partition not in (None, record.partition):
            self.wrong("one partition", f"{self._partition} before, {record.partition} now")
        if at < self.at:
            self.wrong("time does not go back", f"{at} after {self.at}")
        self._digest, self._partition, self.at = digest(record), record.partition, at

    def check_command(self, record: Record) -> None:
        """The event was caused by one command, which caused no other."""
        headers = record.headers
        command, key = headers["ce_commandid"], headers["ce_receiptkey"]
        if command in self._command_ids:
            self.wrong("one event per command", f"command {command} has another event")
        self._command_ids.add(command)
        if key.startswith("key:") and self.at < self._keys.get(key, -KEY_MEMORY_MS) + KEY_MEMORY_MS:
            self.wrong("one event per idempotency key", key)
        self._keys[key] = self.at
        offset = int(headers["ce_commandposition"].partition(":")[2])
        cause = self._commands.get((record.partition, offset))
        if cause is None:  # commands are kept for a week only
            return
        if cause.headers["ce_id"] != command:
            self.wrong("caused by its command", f"offset {offset} holds {cause.headers['ce_id']}")
        if hashlib.sha256(cause.value).hexdigest()[:32] != headers["ce_bodyhash"]:
            self.wrong("caused by its command", f"the body of {command} has another hash")
