"""Checks a data folder's log against the platform's promises, sharing no code with the platform.

    python -m tests.e2e.check_log DATA_FOLDER

Reads `log.sqlite`, and `blobs/` where a record says that its value is there. Prints a JSON summary;
exits 0 when every promise was kept, 1 when one was broken, 2 when there is no log to read.
`log_model.py` says what the promises are.
"""

import hashlib
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.e2e.log_entities import Record
from tests.e2e.log_model import Tenant

SHOWN = 50


def read_topic(db: sqlite3.Connection, topic: str, blobs: Path | None = None) -> Iterator[Record]:
    """A topic's records by partition and offset, with the values that are kept in `blobs`."""
    rows = db.execute(
        'SELECT partition, "offset", timestamp, value, headers FROM records'
        " WHERE topic_id = (SELECT topic_id FROM topics WHERE name = ?) ORDER BY 1, 2",
        (topic,),
    )
    for partition, offset, timestamp, value, headers in rows:
        record = Record(partition, offset, timestamp, bytes(value), json.loads(headers))
        if blobs is not None:
            record.value = kept_value(record, blobs)
        yield record


def kept_value(record: Record, blobs: Path) -> bytes:
    """The record's value; what is kept elsewhere is named by its SHA-256 in `ce_dataref`. One that
    is missing or damaged breaks every promise about that record, beginning with its hash."""
    name = record.headers.get("ce_dataref")
    if name is None:
        return record.value
    path = blobs / name[:2] / name
    value = path.read_bytes() if path.exists() else b""
    intact = hashlib.sha256(value).hexdigest() == name and not record.value
    return value if intact else b"{}"


def check(events: Iterable[Record], commands: Iterable[Record]) -> dict[str, Any]:
    """The summary: per tenant what there is, and every violation."""
    known = {(record.partition, record.offset): record for record in commands}
    tenants: dict[str, Tenant] = {}
    types: Counter[str] = Counter()
    for record in events:
        name = record.headers["ce_tenant"]
        types[record.headers["ce_type"]] += 1
        tenants.setdefault(name, Tenant(name, known)).follow(record)
    violations = [violation for tenant in tenants.values() for violation in tenant.violations]
    return {
        "ok": not violations,
        "commands": len(known),
        "events": dict(sorted(types.items())),
        "tenants": {name: _describe(tenant) for name, tenant in sorted(tenants.items())},
        "violation_count": len(violations),
        "violations": [vars(violation) for violation in violations[:SHOWN]],
    }


def _describe(tenant: Tenant) -> dict[str, Any]:
    return {
        "events": tenant.seq,
        "tasks": dict(sorted(Counter(task.status for task in tenant.tasks.values()).items())),
        "agents": len(tenant.agents),
        "teams": sum(members is not None for members in tenant.teams.values()),
        "claims": tenant.claims,
        "most_tasks_held_at_once": tenant.most_held,
    }


def check_folder(folder: Path) -> dict[str, Any]:
    """The summary of the log in a data folder; raises `sqlite3.Error` without a readable one."""
    uri = f"{(folder / 'log.sqlite').resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        blobs = folder / "blobs"
        return check(read_topic(db, "events", blobs), read_topic(db, "commands", blobs))


def main(arguments: list[str]) -> int:
    """Run on the folder named by the only argument."""
    if len(arguments) != 1:
        sys.stderr.write("usage: check_log.py DATA_FOLDER\n")
        return 2
    try:
        summary = check_folder(Path(arguments[0]))
    except sqlite3.Error as error:
        sys.stderr.write(f"check_log.py: {arguments[0]}: no readable log.sqlite: {error}\n")
        return 2
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
