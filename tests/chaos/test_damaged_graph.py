"""What happens to the graph's server itself: its disk is full, its password was changed. Who asks
is told, and work resumes as soon as it can."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from neo4j import GraphDatabase
from neo4j.exceptions import ClientError

from tests.chaos.faults import messages
from tests.chaos.place import (
    ANSWER_SECONDS,
    Place,
    Prober,
    readiness,
    until,
    unwell,
    warnings,
    working,
)
from tests.services import kafka, neo4j
from tests.services.jars import NotHere
from tests.services.run import needed

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
DISK_MB = 200
#: Its transaction log grows with what is written, and is not laid out in advance.
SMALL = """\
db.tx_log.preallocate=false
db.tx_log.rotation.size=1m
"""
OTHER_PASSWORD = "changed-by-somebody"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    size = f"size={DISK_MB}m"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False
    )
    with needed("a file system of its own"):
        if done.returncode:
            raise NotHere(done.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.own_broker(tmp_path_factory.mktemp("log") / "kafka") as broker:
        yield broker


@pytest.fixture(scope="module")
def graph(disk: Path) -> Iterator[neo4j.JarServer]:
    with neo4j.own_process(disk / "neo4j", settings=SMALL) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, log: kafka.Broker, graph: neo4j.JarServer) -> Iterator[Place]:
    with working(tmp_path, log.bootstrap_servers, graph.address) as place:
        yield place


async def recovered(place: Place, prober: Prober) -> float:
    """How many seconds it took until the server was ready and a command was answered whole."""
    seconds = await until(lambda: readiness(place.server)["ready"], "the server to be ready")
    accepted = len(prober.accepted)
    while len(prober.accepted) == accepted:
        await prober.ask()  # waits for its answer
    return seconds


async def ends_well(place: Place, prober: Prober) -> None:
    assert prober.longest < ANSWER_SECONDS + 10
    await prober.every_acknowledged_is_there()
    await prober.close()
    assert messages(place.processes, "CRITICAL") == []


def fill(disk: Path) -> Path:
    """Take all the room that there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


async def test_work_resumes_once_the_graph_has_room_again(
    place: Place, graph: neo4j.JarServer, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prober = Prober(place.server)
    assert await prober.ask()
    ballast = fill(disk)
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(prober.run())
        noticed = await until(lambda: not readiness(place.server)["ready"], "who notices")
        reason = unwell(place.server)
        probing.cancel()
    ballast.unlink()
    # A server whose disk was full has to be started again, says its text.
    await asyncio.to_thread(graph.kill)
    await asyncio.to_thread(graph.start)
    seconds = await recovered(place, prober)
    with capsys.disabled():
        sys.stdout.write(
            f"\nthe graph's disk was full: noticed after {noticed:.1f} s ({reason}), recovered"
            f" {seconds:.1f} s after it had room and was started again; {prober.refused} refused,"
            f" {len(prober.accepted)} accepted, the longest answer {prober.longest:.1f} s;"
            f" {len(warnings(place))} lines in the logs\n"
        )
    await ends_well(place, prober)


async def test_work_resumes_once_the_password_is_the_right_one_again(
    place: Place, graph: neo4j.JarServer, capsys: pytest.CaptureFixture[str]
) -> None:
    prober = Prober(place.server)
    assert await prober.ask()
    await asyncio.to_thread(change_password, graph.address, graph.address.password, OTHER_PASSWORD)
    # Whoever is connected stays it.
    await asyncio.to_thread(graph.kill)
    await asyncio.to_thread(graph.start)
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(prober.run())
        noticed = await until(lambda: "NEO4J_PASSWORD" in unwell(place.server), "who notices")
        await until(lambda: prober.refused > 0, "somebody to be refused")
        began = time.monotonic()
        await asyncio.to_thread(
            change_password, graph.address, OTHER_PASSWORD, graph.address.password
        )
        let_in = time.monotonic() - began
        seconds = await until(lambda: readiness(place.server)["ready"], "the server to be ready")
        probing.cancel()
    seconds += await recovered(place, prober)
    with capsys.disabled():
        sys.stdout.write(
            f"\nthe password was another: noticed after {noticed:.1f} s, an administrator was let"
            f" in after {let_in:.1f} s, recovered {seconds:.1f} s after it was right again;"
            f" {prober.refused} refused, {len(prober.accepted)} accepted, the longest answer"
            f" {prober.longest:.1f} s; {len(warnings(place))} lines in the logs\n"
        )
    await ends_well(place, prober)


def change_password(address: neo4j.Address, old: str, new: str) -> None:
    """After some wrong passwords Neo4j lets nobody in for a few seconds, so try again."""
    auth = (address.username, old)
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            with GraphDatabase.driver(address.uri, auth=auth) as driver:  # pyright: ignore[reportUnknownMemberType]
                driver.execute_query(
                    "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
                    {"old": old, "new": new},
                    database_="system",
                )
            return
        except ClientError:
            assert time.monotonic() < deadline, "the retries of the platform keep others out"
            time.sleep(0.5)
