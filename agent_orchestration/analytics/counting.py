"""Records of feeds, or of the log that they come from, counted for each tenant."""

from collections.abc import Mapping

import msgspec

from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.core.envelope import EventEnvelope, StoredRecord
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.deciding import REJECTION


class _Rejection(msgspec.Struct, frozen=True):
    """What is looked at of a rejection."""

    command: str


class Counting:
    """The histories of all tenants, by tenant; `changed` has those that are not what they were when
    it was last emptied, `held` how many events wait for one before them."""

    def __init__(
        self, registry: Registry, histories: Mapping[str, TenantHistory] | None = None
    ) -> None:
        self._registry = registry
        self.histories = dict(histories or {})
        self.changed: set[str] = set()
        self.held = 0

    def take(self, record: StoredRecord) -> tuple[str, int]:
        """Count a record of a feed, of `events` or of `system_events`: its tenant, and the `seq`
        from which on it is counted; "" and 0 where there is nothing to wait for, as with what other
        programs wrote. Raises what `TenantHistory.take` raises."""
        if record.headers.get("ce_type") == REJECTION:
            self._refuse(record)
            return "", 0
        try:
            # A feed's key is another one, which says nothing that the event does not.
            tenant = record.headers.get("ce_tenant", "").encode()
            event = EventEnvelope.from_record(msgspec.structs.replace(record, key=tenant))
        except ValueError:
            return "", 0
        history = self._history(event.tenant)
        held = len(history.held)
        if history.take(event):
            self.changed.add(event.tenant)
        self.held += len(history.held) - held
        return event.tenant, event.seq

    def settle(self) -> None:
        """What changed is of no interest any more."""
        for tenant in self.changed:
            self.histories[tenant].settle()
        self.changed.clear()

    def _refuse(self, record: StoredRecord) -> None:
        epoch, _, offset = record.headers.get("ce_commandposition", "").partition(":")
        tenant = record.headers.get("ce_tenant")
        if not tenant or not (epoch.isdecimal() and offset.isdecimal()):
            return  # one that was kept before they had positions
        try:
            command = msgspec.json.decode(record.value, type=_Rejection).command
        except msgspec.DecodeError:
            return
        position = int(epoch), int(offset)
        self._history(tenant).refuse(command, position, record.timestamp)
        self.changed.add(tenant)

    def _history(self, tenant: str) -> TenantHistory:
        found = self.histories.get(tenant)
        if found is None:
            found = self.histories[tenant] = TenantHistory(self._registry, tenant)
        return found
