"""Processes are killed and paused in the middle of many tenants' work, and nothing is lost, done
twice, or done too early.

`AO_CHAOS_TENANTS` and `AO_CHAOS_CHROMOSOMES` say how much work there is (by hand: 64 and 10, which
take a while), `AO_CHAOS_SEED` what goes wrong.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import check_installation
from tests.chaos.faults import Faults, messages
from tests.chaos.load import Load, Servers
from tests.chaos.place import graph_is_there
from tests.chaos.workflow import genome
from tests.e2e.program import wait_for
from tests.e2e.real.installation import TOKEN, Installation, installed
from tests.services import neo4j

TENANTS = int(os.environ.get("AO_CHAOS_TENANTS", "8"))
CHROMOSOMES = int(os.environ.get("AO_CHAOS_CHROMOSOMES", "2"))
SEED = int(os.environ.get("AO_CHAOS_SEED", "1"))
PROCESSORS, SERVERS = 3, 2

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(600 + TENANTS * CHROMOSOMES * 10),
]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    # For the whole test, which is longer than others could wait for their turn.
    with (
        neo4j.own_server(tmp_path / "neo4j") as address,
        installed(tmp_path, address) as prepared,
    ):
        yield prepared


def test_the_workflow_has_the_recorded_size() -> None:
    steps = genome(10)
    assert len(steps) == len({step.name for step in steps}) == 260
    assert sum(len(step.after) for step in steps) == 380


async def test_every_run_completes_though_processes_are_killed_and_paused(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processors = [installation.processor(f"processor-{n}") for n in range(PROCESSORS)]
    servers = [installation.server(f"server-{n}") for n in range(SERVERS)]
    for process in (*processors, *servers):
        await asyncio.to_thread(wait_for, process.ready, f"{process.name} to be ready")
    notes = tmp_path / "notes.jsonl"
    began = time.monotonic()
    with notes.open("w", encoding="utf-8") as file:
        clients = Servers([server.url for server in servers], TOKEN, file)
        load = Load(clients, [f"tenant-{n}" for n in range(TENANTS)], genome(CHROMOSOMES))
        faults = Faults(SEED, installation, processors, servers, load)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            group.create_task(faults.run())
        await clients.stop()
    seconds = time.monotonic() - began
    address = installation.database
    auth = (address.username, address.password)
    for server in servers:
        server.kill()
    wait_for(lambda: graph_is_there(installation), "the graph to have the whole log")
    found = check_installation(
        installation.bootstrap_servers, installation.prefix, address.uri, auth, notes
    )
    figures: dict[str, Any] = {
        **faults.counts,
        "members told of a rebalance": faults.rebalances(),
        **faults.refused(),
        **found,
        "runs completed": sum(load.runs.values()),
        "calls": clients.calls,
        "calls repeated at another server": clients.gone,
        "answers of a graph that was behind": clients.stale,
        "seconds": round(seconds),
    }
    with capsys.disabled():
        sys.stdout.write("\n" + "".join(f"  {name}: {value}\n" for name, value in figures.items()))
    assert (found["violations"], found["wrong"]) == ([], [])
    assert found["tasks completed"] == load.created
    assert min(load.runs.values()) >= 1
    assert messages([*processors, *servers], "CRITICAL") == []
    assert faults.counts["paused"] >= 2
    assert faults.refused()["members refused by the group"] > 0
    assert faults.late_writes() + found["double events"] > 0
