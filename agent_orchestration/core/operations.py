"""Long work that operators ask for; front doors pass it on as they do calls of tools."""

import msgspec


class Rebuild(msgspec.Struct, frozen=True, tag="rebuild", forbid_unknown_fields=True):
    """Fold the log again beside the graph, compare the two, and repair what differs; with `repair`
    false only compare.

    Answers `{"equal", "repaired", "events", "nodes", "missing", "extra", "changed",
    "relationship", "set_aside", "differences": [{"what", "label", "id", …}], "seconds"}`: how many
    nodes were missing, too many or changed, how many relationships of the others differed, how many
    tenants are quarantined; `differences` are the first of them.
    """

    repair: bool = True


class Fill(msgspec.Struct, frozen=True, tag="fill", forbid_unknown_fields=True):
    """Fold the log into the empty graph on another Neo4j server, with the database, user and
    password of the settings. Interrupted, it goes on where it was.

    Answers `{"events", "seconds"}`.
    """

    uri: str


class Verify(msgspec.Struct, frozen=True, tag="verify", forbid_unknown_fields=True):
    """Check the history of every tenant, or of one, in the log.

    Answers `{"ok", "tenants", "events", "repeated", "foreign", "found", "problems": [{"code",
    "reason", "tenant", "seq", "place"}], "seconds"}`: `problems` are the first of those that were
    `found`, `repeated` and `foreign` are harmless records.
    """

    tenant: str | None = None


class Archive(msgspec.Struct, frozen=True, tag="archive", forbid_unknown_fields=True):
    """Archive all events that are not yet, and delete from the log those that are archived and old;
    with `only_look` neither.

    Answers `{"place", "written", "deleted", "ok", "partitions": [{"partition", "first", "archived",
    "waiting", "waiting_ms"}], "seconds"}`: events before `archived` are in the archive, those
    before `first` nowhere else. `ok`: none has waited for an hour.
    """

    only_look: bool = False


Operation = Archive | Fill | Rebuild | Verify
"""One of them; as JSON `{"type": "verify", "tenant": "acme"}`."""
