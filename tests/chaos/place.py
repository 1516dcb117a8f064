"""An installation on servers of its own, to which a test does what others could not bear; and
somebody who asks it all the time."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Busy, Unavailable
from agent_orchestration.remote import RemoteDispatcher
from tests.chaos.checker import check_installation, graph_rows
from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.workflow import genome
from tests.e2e.program import wait_for
from tests.e2e.real.installation import TOKEN, Installation, Process, Server, installed
from tests.e2e.real.log_reader import read_topic
from tests.services import neo4j

TENANTS = 8
#: How many lines at level WARNING or above a process may write in a minute of trouble.
LINES_A_MINUTE = 60
#: How long a caller may be left without an answer, in seconds.
ANSWER_SECONDS = 60.0


class Place(NamedTuple):
    """An installation at work."""

    installation: Installation
    processors: list[Process]
    server: Server

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.processors, self.server]


@contextmanager
def working(
    folder: Path,
    bootstrap_servers: str,
    database: neo4j.Address,
    variables: Mapping[str, str] | None = None,
) -> Generator[Place]:
    """Two processors and a server, all ready; `variables` are added to their environment."""
    with installed(
        folder, database, bootstrap_servers=bootstrap_servers, variables=variables
    ) as prepared:
        processors = [prepared.processor(f"processor-{n}") for n in range(2)]
        server = prepared.server("server")
        for process in (*processors, server):
            wait_for(process.ready, f"{process.name} to be ready")
        yield Place(prepared, processors, server)


def readiness(server: Server) -> dict[str, Any]:
    """What it says at `/ready`."""
    try:
        with urllib.request.urlopen(f"{server.url}/ready", timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def unwell(server: Server) -> str:
    """What is wrong, in the words of `/ready`."""
    checks = readiness(server)["checks"]
    return "; ".join(check["detail"] for check in checks.values() if not check["ok"])


async def until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> float:
    """Wait for it; how many seconds that took."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - began < seconds, f"waited in vain for {what}"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


class Prober:
    """Somebody who asks all the time, and notes what they are told."""

    def __init__(self, server: Server, tenant: str = "prober") -> None:
        self._caller = Caller(tenant=tenant)
        self._remote = RemoteDispatcher(server.url, TOKEN, REGISTRY, ANSWER_SECONDS + 30)
        self.accepted: list[str] = []
        self.refused = 0
        self.reason = ""
        self.longest = 0.0
        self._number = 0

    async def ask(self) -> bool:
        """Whether a command was accepted, and its effect can be read; else see `reason`."""
        self._number += 1
        name = f"probe-{self._number}"
        began = time.monotonic()
        try:
            arguments = {"id": name, "title": name, "idempotency_key": name}
            answer = await self._remote.call("create_task", arguments, self._caller)
            self.accepted.append(name)
            return not answer.get("stale")
        except (Busy, Unavailable) as error:
            self.refused += 1
            self.reason = error.reason
            return False
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(0.5)

    async def every_acknowledged_is_there(self) -> None:
        """Nothing that was accepted is lost."""
        for name in self.accepted:
            assert (await self._remote.call("get_task", {"task_id": name}, self._caller))["task"]

    async def close(self) -> None:
        """Close the connection."""
        await self._remote.close()


class Trial:
    """An installation under load, and somebody who asks it all the time. What became of it is known
    once the load has ended."""

    def __init__(self, place: Place, load: Load) -> None:
        self.load = load
        self.prober = Prober(place.server)
        #: Seconds from the end of the trouble until the server was ready and a command accepted.
        self.recovered = 0.0
        #: How many lines at level WARNING or above all processes wrote.
        self.lines = 0
        self.found: dict[str, Any] = {}
        self._place = place

    def __str__(self) -> str:
        return (
            f"recovered {self.recovered:.1f} s after it was over; {self.prober.refused} refused and"
            f" {len(self.prober.accepted)} accepted, the longest answer"
            f" {self.prober.longest:.1f} s; {self.lines} lines in the logs;"
            f" {self.found['tasks completed']} tasks, {self.found['double events']} double events"
        )

    def check(self, seconds: float) -> None:
        """Nothing was lost or done twice, nobody waited for ever, and the logs can be read, though
        the trouble took so many seconds."""
        assert self.found["violations"] == []
        assert [one for one in self.found["wrong"] if "prober" not in one] == []
        assert self.prober.longest < ANSWER_SECONDS + 10
        assert messages(self._place.processes, "CRITICAL") == []
        assert self.lines <= LINES_A_MINUTE * len(self._place.processes) * max(seconds / 60, 1)


@asynccontextmanager
async def under_load(place: Place, folder: Path, chromosomes: int = 2) -> AsyncGenerator[Trial]:
    """Tenants work while the block makes trouble; after it, work has to resume by itself."""
    notes = folder / "notes.jsonl"
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([place.server.url], TOKEN, file)
        load = Load(clients, [f"tenant-{n}" for n in range(TENANTS)], genome(chromosomes))
        trial = Trial(place, load)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.progress(20)
            said = len(warnings(place))
            probing = group.create_task(trial.prober.run())
            yield trial
            over = time.monotonic()
            await until(lambda: readiness(place.server)["ready"], "the server to be ready")
            accepted = len(trial.prober.accepted)
            await until(lambda: len(trial.prober.accepted) > accepted, "a command to be accepted")
            trial.recovered = time.monotonic() - over
            trial.lines = len(warnings(place)) - said
            await load.progress(20)
            probing.cancel()
            load.enough.set()
        await clients.stop()
    await trial.prober.every_acknowledged_is_there()
    await trial.prober.close()
    trial.found = checked(place, notes)


async def outage(
    place: Place, begin: Callable[[], None], end: Callable[[], None], seconds: float
) -> tuple[float, dict[str, Any]]:
    """At least that long, and until the server says so: after how many seconds it did, and what it
    said of each engine."""
    said: list[dict[str, Any]] = []

    def noticed() -> bool:
        said.append(readiness(place.server))
        return not said[-1]["ready"]

    await asyncio.to_thread(begin)
    took = await until(noticed, "who notices", 60)
    await asyncio.sleep(max(seconds - took, 0))
    await asyncio.to_thread(end)
    return took, said[-1]["checks"]


def checked(place: Place, notes: Path) -> dict[str, Any]:
    """What the independent checker finds once the graph has the whole log."""
    place.server.kill()
    wait_for(lambda: graph_is_there(place.installation), "the graph to have the whole log")
    address = place.installation.database
    auth = (address.username, address.password)
    return check_installation(
        place.installation.bootstrap_servers, place.installation.prefix, address.uri, auth, notes
    )


def warnings(place: Place) -> list[dict[str, Any]]:
    """What the processes complained of in their logs."""
    return [one for level in ("WARNING", "ERROR") for one in messages(place.processes, level)]


def graph_is_there(installation: Installation) -> bool:
    """Whether the graph has the last event of the log of every tenant."""
    address = installation.database
    auth = (address.username, address.password)
    last: dict[str, int] = {}
    for event in read_topic(installation.bootstrap_servers, f"{installation.prefix}events"):
        tenant, seq = event.headers["ce_tenant"], int(event.headers["ce_seq"])
        last[tenant] = max(seq, last.get(tenant, 0))
    rows = graph_rows(address.uri, auth, "MATCH (n:Tenant) RETURN n.id AS id, n.seq AS seq")
    return {row["id"]: row["seq"] for row in rows} == last
