"""Checks an installation's log and graph with a plain Kafka consumer and plain Cypher, sharing no
code with the platform.

    python -m tests.chaos.checker BOOTSTRAP_SERVERS PREFIX NEO4J_URI USERNAME PASSWORD NOTES

What holds for every history is in `tests/e2e/check_log.py`. Here: that a log with zombies' events
in it is still one history, that whatever a client was told is in it, and that the graph is what it
says. NOTES has a line of JSON for each answer: tenant, event, task, attempt, seq.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from neo4j import GraphDatabase

from tests.e2e.check_log import check
from tests.e2e.log_entities import Record, digest
from tests.e2e.real.log_reader import read_topic

SHOWN = 20


class History:
    """The events of all tenants without those that came twice. `double` counts those, `wrong` has
    what is not as it must be."""

    def __init__(self) -> None:
        self.digests: defaultdict[str, list[str]] = defaultdict(list)
        self.double = 0
        self.wrong: list[str] = []

    def without_doubles(self, events: Iterable[Record]) -> Iterator[Record]:
        """A repeated event is the same to the byte as the one that came first."""
        for event in events:
            tenant, seq = event.headers["ce_tenant"], int(event.headers["ce_seq"])
            known = self.digests[tenant]
            if seq > len(known):
                known.append(digest(event))
                yield event
                continue
            self.double += 1
            if known[seq - 1] != digest(event):
                self.wrong.append(f"double: tenant {tenant} has two different events {seq}")

    def check_keys(self, events: Iterable[Record]) -> None:
        """No two events under one key, a client's or a command's id."""
        found = Counter((e.headers["ce_tenant"], e.headers["ce_receiptkey"]) for e in events)
        self.wrong += [f"double: {key}" for key, count in found.items() if count > 1]

    def check_answers(self, events: Iterable[Record], notes: Path) -> int:
        """Whatever a client was told is in the log; the number of answers."""
        known: dict[tuple[str, str, str, int], int] = {}
        for event in events:
            type_, tenant = event.headers["ce_type"], event.headers["ce_tenant"]
            if type_ in ("TaskCreated", "TaskClaimed", "TaskCompleted"):
                body = json.loads(event.value)
                place = (tenant, type_, body["task_id"], body.get("attempt", 0))
                known[place] = int(event.headers["ce_seq"])
        answers = [json.loads(line) for line in notes.read_text("utf-8").splitlines()]
        for one in answers:
            place = (one["tenant"], one["event"], one["task"], one["attempt"])
            if place not in known:
                self.wrong.append(f"lost: {place} was accepted and is not in the log")
            elif known[place] > one["seq"]:
                self.wrong.append(f"lost: {place} was answered before event {known[place]}")
        return len(answers)


def graph_rows(uri: str, auth: tuple[str, str], statement: str) -> list[dict[str, Any]]:
    """The rows of a statement."""
    with GraphDatabase.driver(uri, auth=auth) as driver:  # pyright: ignore[reportUnknownMemberType]
        answer: Any = driver.execute_query(cast("Any", statement), database_="neo4j")
        return [dict(row) for row in answer.records]


def check_graph(uri: str, auth: tuple[str, str], history: History, tenants: dict[str, Any]) -> None:
    """The graph has every event of the log, once, and the tasks that they make."""
    seqs = graph_rows(uri, auth, "MATCH (n:Tenant) RETURN n.id AS tenant, n.seq AS seq")
    found: dict[str, Any] = {row["tenant"]: row["seq"] for row in seqs}
    wanted = {tenant: len(known) for tenant, known in history.digests.items()}
    if found != wanted:
        history.wrong.append(f"graph: the tenants are at {found}, the log at {wanted}")
    statement = "MATCH (e:Event) RETURN e.tenant AS tenant, e.seq AS seq, e.digest AS digest"
    events = Counter((r["tenant"], r["seq"], r["digest"]) for r in graph_rows(uri, auth, statement))
    in_log = Counter(
        (tenant, seq, one)
        for tenant, known in history.digests.items()
        for seq, one in enumerate(known, 1)
    )
    if events != in_log:
        more, less = list((events - in_log).elements()), list((in_log - events).elements())
        history.wrong.append(f"graph: events {more[:3]} too many, {less[:3]} too few")
    statement = (
        "MATCH (t:Task) OPTIONAL MATCH (t)-[r:DEPENDS_ON]->(:Task)"
        " WITH t, count(r) AS links RETURN t.tenant AS tenant, t.status AS status,"
        " count(t) AS tasks, sum(links) AS links"
    )
    tasks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in graph_rows(uri, auth, statement):
        tasks[row["tenant"]][row["status"]] = row["tasks"]
    said = {tenant: its["tasks"] for tenant, its in tenants.items()}
    if dict(tasks) != said:
        history.wrong.append(f"graph: tasks {dict(tasks)}, by the log {said}")
    for tenant, statuses in said.items():
        if set(statuses) != {"completed"}:
            history.wrong.append(f"not completed: tenant {tenant} has {statuses}")


def check_installation(
    bootstrap_servers: str, prefix: str, uri: str, auth: tuple[str, str], notes: Path
) -> dict[str, Any]:
    """The summary; `wrong` and `violations` are empty where every promise was kept."""
    history = History()
    commands = list(read_topic(bootstrap_servers, f"{prefix}commands"))
    events = list(history.without_doubles(read_topic(bootstrap_servers, f"{prefix}events")))
    summary = check(events, commands)
    history.check_keys(events)
    answers = history.check_answers(events, notes)
    check_graph(uri, auth, history, summary["tenants"])
    dead = sum(1 for _ in read_topic(bootstrap_servers, f"{prefix}dead_letters"))
    if dead:
        history.wrong.append(f"{dead} dead letters")
    return {
        "tenants": len(summary["tenants"]),
        "tasks completed": sum(
            one["tasks"].get("completed", 0) for one in summary["tenants"].values()
        ),
        "claims": sum(one["claims"] for one in summary["tenants"].values()),
        "commands": len(commands),
        "events": len(events),
        "double events": history.double,
        "answers noted": answers,
        "violations": summary["violations"],
        "wrong": history.wrong[:SHOWN],
    }


if __name__ == "__main__":
    servers, prefix, uri, username, password, notes = sys.argv[1:]
    found = check_installation(servers, prefix, uri, (username, password), Path(notes))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.exit(1 if found["violations"] or found["wrong"] else 0)
