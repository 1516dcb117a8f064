"""The wall clocks of processes jump under load, five minutes on and back: nothing is lost, done
twice, or done too early. A log's time, which leases and deadlines are told in, is that of its own
process: the embedded one, or the broker."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent_orchestration.data_folder import DataFolder
from tests.chaos.faults import messages
from tests.chaos.load import Load, Servers
from tests.chaos.place import checked, working
from tests.chaos.workflow import genome
from tests.e2e.check_log import check_folder
from tests.e2e.program import wait_for
from tests.e2e.real.installation import TOKEN, Server
from tests.services import kafka, neo4j
from tests.services.clocks import Clock
from tests.services.run import needed

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
#: How many seconds clocks are from the true time, one after the other: that of the processes, and
#: that of the log.
JUMPS = ((300, 0), (0, 300), (-300, 0), (300, -300), (0, 300), (0, 0))
TENANTS = 8


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    with needed("libfaketime"):
        return Clock(tmp_path / "clock")


@pytest.fixture
def embedded(tmp_path: Path, clock: Clock) -> Iterator[Server]:
    """Everything in one process."""
    folder = tmp_path / "embedded"
    folder.mkdir()
    settings = {"backend": "embedded", "data": str(folder / "data")}
    (folder / "config.yaml").write_text(json.dumps(settings), "utf-8")
    server = Server("server", folder, dict(clock.variables), "dev")
    server.start()
    try:
        wait_for(server.ready, "the server to be ready")
        yield server
    finally:
        server.kill()


async def worked_through(url: str, token: str, clocks: Sequence[Clock], notes: Path) -> Load:
    """The work of all tenants, while the clocks jump."""
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([url], token, file)
        load = Load(clients, [f"tenant-{n}" for n in range(TENANTS)], genome(1))
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.progress(TENANTS)
            for jump in JUMPS:
                for clock, seconds in zip(clocks, jump, strict=False):
                    clock.jump(seconds)
                await load.progress(3 * TENANTS)
            load.enough.set()
        await clients.stop()
    return load


def show(capsys: pytest.CaptureFixture[str], load: Load, where: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{where}: clocks at {JUMPS} s, {load.created} tasks completed\n")


async def test_the_clock_of_the_log_may_jump(
    embedded: Server, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = DataFolder(tmp_path / "embedded" / "data").owner()
    assert owner is not None
    load = await worked_through(embedded.url, owner.token, [clock], tmp_path / "notes.jsonl")
    critical = messages([embedded], "CRITICAL")
    embedded.kill()
    found = check_folder(tmp_path / "embedded" / "data")
    assert found["violations"] == []
    tasks = [tenant["tasks"] for tenant in found["tenants"].values()]
    assert all(one.keys() == {"completed"} for one in tasks)
    assert sum(one["completed"] for one in tasks) == load.created
    assert critical == []
    show(capsys, load, "embedded")


async def test_the_clocks_of_processes_and_broker_may_jump(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, log_clock = tmp_path / "notes.jsonl", Clock(tmp_path / "log-clock")
    with (
        kafka.own_broker(tmp_path / "kafka", clock=log_clock.file) as log,
        neo4j.own_process(tmp_path / "neo4j") as graph,
        working(tmp_path, log.bootstrap_servers, graph.address, clock.variables) as place,
    ):
        load = await worked_through(place.server.url, TOKEN, [clock, log_clock], notes)
        found = checked(place, notes)
        assert (found["violations"], found["wrong"]) == ([], [])
        assert found["tasks completed"] == load.created
        assert messages(place.processes, "CRITICAL") == []
    show(capsys, load, "Kafka and Neo4j")
