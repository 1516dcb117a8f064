"""Long work that operators ask for; front doors pass it on as they do calls of tools."""

import msgspec


class Rebuild(msgspec.Struct, frozen=True, tag="rebuild", forbid_unknown_fields=True):
    """Fold the log again beside the graph, compare the two, and repair what differs; with `repair`
    false only compare.

    Answers `{"equal", "repaired", "events", "nodes", "missing", "extra", "changed",
    "relationship", "set_aside", "left_out": [{"tenant", "seq", "digest", "place", "kept"}],
    "differences": [{"what", "label", "id", …}], "seconds"}`: how many nodes were missing, too many
    or changed, how many relationships of the others differed, how many tenants are quarantined;
    `left_out` are events that their tenants' histories leave out from now on, `differences` the
    first of the differences.
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

    Answers `{"ok", "tenants", "events", "repeated", "foreign", "left_out", "found", "problems":
    [{"code", "reason", "tenant", "seq", "place"}], "seconds"}`: `problems` are the first of those
    that were `found`; `repeated`, `foreign` and `left_out` (by a rebuild) are harmless records.
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


class Backup(msgspec.Struct, frozen=True, tag="backup", forbid_unknown_fields=True):
    """Keep the graph as files: made from the last backup and the log, restored beside it, and
    compared. Old ones are deleted.

    Answers `{"name", "place", "events", "lines", "fingerprint", "pruned": [name], "seconds"}`.
    """


class ListBackups(msgspec.Struct, frozen=True, tag="list_backups", forbid_unknown_fields=True):
    """Answers `{"place", "backups": [{"name", "created", "version", "epoch", "positions", "lines",
    "fingerprint"}]}`, the oldest first; `created` in milliseconds since the epoch."""


class Restore(msgspec.Struct, frozen=True, tag="restore", forbid_unknown_fields=True):
    """Load a backup, the last one unless named, into the empty graph of this installation or on
    another Neo4j server; processors then fold what came later. Interrupted, it goes on.

    Answers `{"name", "lines", "fingerprint", "equal", "seconds"}`.
    """

    name: str | None = None
    into: str | None = None


class ListSetAside(msgspec.Struct, frozen=True, tag="list_set_aside", forbid_unknown_fields=True):
    """Answers `{"tenants": [{"tenant", "partition", "seq", "offset", "reason"}], "letters":
    [{"place", "origin", "at", "reason", "bytes"}]}`: the quarantined tenants, and the records in
    `dead_letters` that nobody has settled."""


class Redrive(msgspec.Struct, frozen=True, tag="redrive", forbid_unknown_fields=True):
    """Fold what came for a quarantined tenant, and let it go on. Answers `{"tenant", "events"}`."""

    tenant: str


class SettleLetter(msgspec.Struct, frozen=True, tag="settle_letter", forbid_unknown_fields=True):
    """Submit the command in a dead letter again, or give it up for a reason. Answers `{"place",
    "origin", "given_up"}`."""

    place: str
    give_up: str | None = None


Operation = (
    Archive
    | Backup
    | Fill
    | ListBackups
    | ListSetAside
    | Rebuild
    | Redrive
    | Restore
    | SettleLetter
    | Verify
)
"""One of them; as JSON `{"type": "verify", "tenant": "acme"}`."""
