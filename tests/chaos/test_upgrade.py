"""A new version of the program takes over under load: both work side by side, then the old one
goes, the rules are raised, and from then on events are written in a new schema."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.folding import RULES
from agent_orchestration.remote import RemoteDispatcher
from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.place import TENANTS, Place, checked, until
from tests.chaos.workflow import genome
from tests.e2e.real.installation import TOKEN, Process, installed
from tests.e2e.real.log_reader import read_topic
from tests.services import kafka, neo4j

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 60.0
#: The program of the next release: it knows one number more, and with that number come events
#: `TaskCompleted` of another version.
NEXT = [
    sys.executable,
    "-c",
    """
from agent_orchestration.core import folding
from agent_orchestration.domain.tasks.events import TaskCompleted
folding.RULES += 1
TaskCompleted.VERSION += 1
TaskCompleted.SINCE_RULES = {TaskCompleted.VERSION: folding.RULES}
TaskCompleted.UPCASTERS = TaskCompleted.DOWNCASTERS = {TaskCompleted.VERSION - 1: dict}
from agent_orchestration.cli import main
main()
""",
]


async def ended(processes: Sequence[Process]) -> None:
    """As whatever looks after a deployment ends them."""
    for process in processes:
        process.send(signal.SIGTERM)
    for process in processes:
        await asyncio.to_thread(process.wait, SECONDS)


async def ready(processes: Sequence[Process]) -> None:
    for process in processes:
        await until(process.ready, f"{process.name} to be ready")


async def test_a_new_version_takes_over_under_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.jsonl"
    tenants = [f"tenant-{n}" for n in range(TENANTS)]
    with (
        kafka.own_broker(tmp_path / "kafka") as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
        installed(tmp_path, graph.address, bootstrap_servers=log.bootstrap_servers) as place,
        notes.open("w", encoding="utf-8") as file,
    ):
        first, server = place.server("old"), place.server("new", NEXT)
        old = [place.processor("old-0"), place.processor("old-1"), first]
        await ready([*old, server])
        remote = RemoteDispatcher(server.url, TOKEN, REGISTRY, SECONDS)

        async def raised(tenant: str) -> int:
            answer = await remote.call("raise_rules", {}, Caller(tenant=tenant))
            return answer["rules"]

        clients = Servers([first.url, server.url], TOKEN, file)
        load = Load(clients, tenants, genome(1))
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.progress(TENANTS)
            new = [place.processor("new-0", NEXT)]
            await ready(new)
            await load.progress(2 * TENANTS)
            with pytest.raises(Rejected, match="upgrade or stop it"):
                await raised(tenants[0])
            for process in old:
                await ended([process])
                await load.progress(TENANTS)
            new.append(place.processor("new-1", NEXT))
            await ready(new)
            for tenant in tenants:
                assert await raised(tenant) == RULES + 1
                await load.progress(1)
            await load.progress(4 * TENANTS)
            load.enough.set()
        await clients.stop()
        await remote.close()
        found = checked(Place(place, new, server), notes)
        events = read_topic(place.bootstrap_servers, f"{place.prefix}events")
        versions = Counter(
            (event.headers["ce_dataversion"], event.headers.get("ce_rules", "1"))
            for event in events
            if event.headers["ce_type"] == "TaskCompleted"
        )
        for verb in (["verify"], ["rebuild", "--verify"]):
            done = place.run(*verb, program=NEXT)
            assert done.returncode == 0, done.stdout + done.stderr
        assert messages([*old, *new, server], "CRITICAL") == []
    with capsys.disabled():
        sys.stdout.write(f"\nTaskCompleted by (version, rules): {dict(versions)}\n")
    assert (found["violations"], found["wrong"]) == ([], [])
    assert found["tasks completed"] == load.created
    assert versions.keys() == {("1", str(RULES)), ("2", str(RULES + 1))}
