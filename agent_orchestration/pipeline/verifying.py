"""`verify`: the histories in the log are read and checked against the graph."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

import msgspec

from agent_orchestration import measures
from agent_orchestration.backends.graph import Graph, load_statements
from agent_orchestration.backends.log import Log, LogLost
from agent_orchestration.core.entities import node_id
from agent_orchestration.core.errors import Corrupt, NotFound
from agent_orchestration.pipeline.chains import End, Problem, Verifier
from agent_orchestration.pipeline.forks import place_of
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS

BATCH = 1000
#: Of more problems only the number is told.
MOST_PROBLEMS = 100
#: So many records are checked before others get their turn: about a millisecond.
BREATH = 100
GRAPH_SECONDS = 60.0
COUNTED = "tenants", "events", "repeated", "foreign", "left_out"


class _Answer:
    """What was found in all partitions; of the problems the first ones."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.counts = dict.fromkeys((*COUNTED, "found"), 0)

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.counts["found"] += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(problem)

    def count(self, verifier: Verifier) -> None:
        for name in COUNTED:
            self.counts[name] += getattr(verifier, name)


async def verify(
    log: Log, graph: Graph, tenant: str | None = None
) -> AsyncGenerator[dict[str, Any], None]:
    """For the yields see `core.dispatch.Dispatcher` and `core.operations.Verify`. What is appended
    meanwhile may be checked too. Raises `NotFound` for a tenant that neither log nor graph has, and
    `LogLost` where records expire meanwhile."""
    started = time.monotonic()
    answer = _Answer()
    partitions = log.topics()[EVENTS].partitions
    chosen = range(partitions) if tenant is None else [partition_of(tenant, partitions)]
    ends = await _ends(log, graph, chosen, answer)
    bounds = {number: await log.bounds(EVENTS, number) for number in chosen}
    done, total = 0, sum(end - begin for begin, end in bounds.values())
    for number, (begin, _) in bounds.items():
        verifier = Verifier(partitions, ends.get(number, {}), tenant)
        async for found in _checked(log, number, begin, verifier):
            answer.add(found)
            done += 1
            if done % BREATH == 0:
                await asyncio.sleep(0)
                yield {"phase": "verifying", "done": min(done, total), "total": total}
        _, end = await log.bounds(COMMANDS, number)
        answer.add(verifier.ended((log.epoch, end)))
        answer.count(verifier)
    if tenant is not None and not answer.counts["tenants"] and not answer.counts["found"]:
        raise NotFound("unknown_tenant", f"tenant: there is no tenant {tenant}", field="tenant")
    measures.DIVERGENCES.add(by=answer.counts["found"])
    yield {
        "ok": not answer.counts["found"],
        **answer.counts,
        "problems": msgspec.to_builtins(answer.problems),
        "seconds": round(time.monotonic() - started, 3),
    }


async def _ends(
    log: Log, graph: Graph, chosen: Iterable[int], answer: _Answer
) -> dict[int, dict[str, End]]:
    """What the graph has of the tenants of these partitions; nothing where it was made from another
    log.

    A tenant's node may be seen in the middle of a write, its events never change. So the digest is
    taken from the event.
    """
    made: dict[int, dict[str, End]] = {}
    for number in chosen:
        position = await graph.position(number)
        if position is not None and position[0] == log.epoch:
            made[number] = {}
        elif position is not None:
            reason = f"the graph was made from another log (epoch {position[0]}, now {log.epoch})"
            answer.add([Problem("other_log", f"{reason}: rebuild it", place=f"{EVENTS}/{number}")])
    rows = await graph.query(load_statements.TENANTS, {}, seconds=GRAPH_SECONDS)
    partitions = log.topics()[EVENTS].partitions
    known = {
        row["id"]: row
        for row in rows
        if row["id"] and row["seq"] and partition_of(row["id"], partitions) in made
    }
    names = {node_id(tenant, str(row["seq"])): tenant for tenant, row in known.items()}
    digests = {
        row["id"]: row["digest"]
        for ids in ([*names][start : start + BATCH] for start in range(0, len(names), BATCH))
        for row in await graph.query(load_statements.DIGESTS, {"ids": ids}, seconds=GRAPH_SECONDS)
    }
    for event_id, tenant in names.items():
        row = known[tenant]
        end = End(row["seq"], digests.get(event_id), row["left_out"] or ())
        made[partition_of(tenant, partitions)][tenant] = end
    return made


async def _checked(
    log: Log, number: int, offset: int, verifier: Verifier
) -> AsyncIterator[Iterable[Problem]]:
    """The problems of each record of a partition. One that the log itself cannot read is one."""
    limit = BATCH
    while True:
        try:
            records = await log.read(EVENTS, number, offset, limit)
        except LogLost:
            raise
        except Corrupt as error:
            if limit > 1:
                limit = 1
            else:
                yield [Problem("unreadable", error.reason, place=place_of(number, offset))]
                offset, limit = offset + 1, BATCH
            continue
        if not records:
            return
        for record in records:
            yield verifier.take(record)
        offset = records[-1].offset + 1
