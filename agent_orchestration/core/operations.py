"""Long work that operators ask for; front doors pass it on as they do calls of tools."""

import msgspec


class Rebuild(msgspec.Struct, frozen=True, tag="rebuild", forbid_unknown_fields=True):
    """Drop the graph and fold the log again.

    Answers `{"fingerprint_before", "fingerprint_after", "equal", "events", "seconds"}`.
    """


class Verify(msgspec.Struct, frozen=True, tag="verify", forbid_unknown_fields=True):
    """Check the history of every tenant, or of one, in the log.

    Answers `{"ok", "tenants", "events", "repeated", "foreign", "found", "problems": [{"code",
    "reason", "tenant", "seq", "place"}], "seconds"}`: `problems` are the first of those that were
    `found`, `repeated` and `foreign` are harmless records.
    """

    tenant: str | None = None


Operation = Rebuild | Verify
"""One of them; as JSON `{"type": "verify", "tenant": "acme"}`."""
