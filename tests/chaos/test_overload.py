"""Twice the work that can be done: new work is refused in time, what was accepted is carried out,
running work may always go on, and all is well again afterwards.

`AO_OVERLOAD_SECONDS` says for how long (by hand: 180).
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from agent_orchestration.core.errors import Busy
from bench.http_calls import HttpCalls
from bench.overload import OVERLOAD, Lifecycles, Phase, agent, closed_loop, resident
from bench.own_writes import every
from tests.chaos.faults import messages
from tests.chaos.load import SAID
from tests.chaos.place import ANSWER_SECONDS, Place, checked, readiness, until, working
from tests.e2e.real.installation import TOKEN
from tests.services import kafka, neo4j

SECONDS = float(os.environ.get("AO_OVERLOAD_SECONDS", "10"))
CALM_SECONDS = 5.0
TENANTS = 8
HOLDER = "holder"
#: Of a command that is remembered for five minutes, in both copies of a tenant, in MB.
COMMAND_MB = 0.001

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(600 + 10 * SECONDS),
]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with (
        kafka.own_broker(tmp_path / "kafka") as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
        working(tmp_path, log.bootstrap_servers, graph.address) as place,
    ):
        yield place


class NotedCalls(HttpCalls):
    """Calls whose answers are written down for the checker."""

    def __init__(self, url: str, notes: TextIO) -> None:
        super().__init__(url, TOKEN)
        self._notes = notes
        self.count = 0
        self.longest = 0.0
        #: The least that a refused caller was told to wait, in seconds.
        self.soonest = float("inf")

    async def __call__(self, tool: str, tenant: str, **arguments: Any) -> dict[str, Any]:
        self.count += 1
        began = time.monotonic()
        try:
            answer = await super().__call__(tool, tenant, **arguments)
        except Busy as error:
            self.soonest = min(self.soonest, error.details.get("retry_after", 0.0))
            raise
        finally:
            self.longest = max(self.longest, time.monotonic() - began)
        if tool in SAID:
            note = {
                "tenant": tenant,
                "event": SAID[tool],
                "task": answer["task"]["id"],
                "attempt": answer.get("attempt") or arguments.get("attempt") or 0,
                "seq": answer["seq"],
            }
            self._notes.write(json.dumps(note) + "\n")
        return answer


class Holder:
    """Somebody at work all the time, whose heartbeats nobody refuses."""

    def __init__(self, calls: NotedCalls) -> None:
        self._calls = calls
        self._lease: dict[str, Any] = {}
        self.beats = 0

    async def begin(self) -> None:
        """Claim a task."""
        await self._calls("register_agent", HOLDER, **agent(HOLDER))
        await self._calls("create_task", HOLDER, id="held", title="Held all the time")
        claimed = await self._calls("claim_task", HOLDER, agent_id=HOLDER)
        self._lease = {"task_id": "held", "attempt": claimed["attempt"]}

    async def run(self) -> None:
        """Heartbeats until cancelled."""
        while True:
            beat = await self._calls("heartbeat", HOLDER, agent_id=HOLDER, leases=[self._lease])
            assert [one["verdict"] for one in beat["leases"]] == ["continue"]
            self.beats += 1
            await asyncio.sleep(0.5)

    async def end(self) -> None:
        """The task is done."""
        await self._calls("complete_task", HOLDER, agent_id=HOLDER, **self._lease)


async def test_twice_what_can_be_done(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.jsonl"
    busy = Phase()
    with notes.open("w", encoding="utf-8") as file:
        calls = NotedCalls(place.server.url, file)
        work, holder = Lifecycles(calls, [f"tenant-{n}" for n in range(TENANTS)]), Holder(calls)
        await work.register()
        await holder.begin()
        await closed_loop(work, CALM_SECONDS)  # all is new
        calm = await closed_loop(work, CALM_SECONDS)
        peak = calm.rate(calm.began, calm.began + CALM_SECONDS)
        memory, before = sizes(place), calls.count
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(holder.run())
            busy.began = time.perf_counter()
            offering = every(1 / (OVERLOAD * peak), SECONDS, lambda: work.one(busy))
            offered = group.create_task(offering)
            await asyncio.sleep(SECONDS)
            said = await asyncio.to_thread(readiness, place.server)
            await offered
            beating.cancel()
        resumed = await resumes(calls, place)
        grown, asked = sizes(place), calls.count - before
        await holder.end()
        calls.close()
    found = checked(place, notes)
    goodput = busy.rate(busy.began, busy.began + SECONDS)
    with capsys.disabled():
        sys.stdout.write(
            f"\nat twice {peak:.0f} lifecycles/s for {SECONDS:.0f} s: {goodput:.0f} finished/s;"
            f" of {busy.offered} {busy.refused} refused, {busy.unknown} with another answer; p99"
            f" {busy.percentile(0.99):.0f} ms beside {calm.percentile(0.99):.0f}, the longest"
            f" answer {calls.longest:.1f} s; {holder.beats} heartbeats; normal {resumed:.1f} s"
            f" after; {said['checks'].get('load')}; MB {memory} -> {grown}\n"
        )
    assert found["violations"] == []
    lost = [one for one in found["wrong"] if busy.unknown == 0 or "not completed" not in one]
    assert lost == []
    assert holder.beats > 0
    assert calls.soonest >= 1
    assert calls.longest < ANSWER_SECONDS
    for name, size in grown.items():
        assert size <= 1.5 * memory[name] + COMMAND_MB * asked, name
    assert messages(place.processes, "CRITICAL") == []


async def resumes(calls: NotedCalls, place: Place) -> float:
    """Seconds until the server is ready and accepts the next call at once."""
    began = time.monotonic()
    await until(lambda: readiness(place.server)["ready"], "the server to be ready")
    await calls("create_task", HOLDER, id="after", title="After the overload")
    await calls("register_agent", HOLDER, **agent("next"))
    held = {"task_id": "after", "agent_id": "next"}
    claim = await calls("claim_task", HOLDER, agent_id="next")
    await calls("complete_task", HOLDER, **held, attempt=claim["attempt"])
    return time.monotonic() - began


def sizes(place: Place) -> dict[str, float]:
    """The resident memory of the processes, in MB."""
    return {process.name: round(resident(process.pid)) for process in place.processes}
