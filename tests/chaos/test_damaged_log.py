"""What happens to the topics themselves: foreign records, other partition counts, topics made anew,
a broker that comes back without the last that it acknowledged. Who asks is told; a person decides
how it goes on; what was acknowledged is in the graph."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.chaos.faults import messages
from tests.chaos.place import Place, Prober, graph_is_there, readiness, until, unwell, working
from tests.e2e.real.log_reader import read_topic
from tests.services import kafka, neo4j

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 60.0
#: Tenants of several partitions.
TENANTS = [f"tenant-{n}" for n in range(12)]
#: So many acknowledged records the broker loses at least.
LOST = int(os.environ.get("AO_LOST_RECORDS", "500"))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[neo4j.JarServer]:
    with neo4j.own_process(tmp_path_factory.mktemp("graph") / "neo4j") as server:
        yield server


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.own_broker(tmp_path_factory.mktemp("log") / "kafka") as broker:
        yield broker


@pytest.fixture
def place(tmp_path: Path, log: kafka.Broker, graph: neo4j.JarServer) -> Iterator[Place]:
    with working(tmp_path, log.bootstrap_servers, graph.address) as place:
        yield place


class Callers:
    """Probers of several tenants."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.all = [Prober(place.server, tenant) for tenant in TENANTS]

    async def ask(self, times: int = 1) -> int:
        """Each asks so often; how many commands were accepted."""
        before = self.accepted
        for _ in range(times):
            await asyncio.gather(*(one.ask() for one in self.all))
        return self.accepted - before

    @property
    def accepted(self) -> int:
        return sum(len(one.accepted) for one in self.all)

    async def in_the_graph(self) -> None:
        """Wait until the graph has everything that the log has."""
        await until(lambda: graph_is_there(self._place.installation), "the graph to be there")

    async def every_acknowledged_is_there(self) -> None:
        for one in self.all:
            await one.every_acknowledged_is_there()

    async def close(self) -> None:
        for one in self.all:
            await one.close()


@pytest.fixture
async def callers(place: Place) -> AsyncIterator[Callers]:
    callers = Callers(place)
    yield callers
    await callers.close()


def admin(place: Place) -> Any:
    """Kafka's own tool, as far as a test is concerned; its types are not known."""
    return AdminClient({"bootstrap.servers": place.installation.bootstrap_servers})


def topic(place: Place, name: str) -> str:
    return place.installation.prefix + name


def end(place: Place) -> None:
    """As an operator ends them, who must not leave a member behind."""
    for process in place.processes:
        process.send(signal.SIGTERM)
    for process in place.processes:
        process.wait(SECONDS)


async def begin_again(place: Place) -> float:
    """The processes are started; how many seconds it took until all were ready."""
    began = time.monotonic()
    for process in place.processes:
        process.start()
    for process in place.processes:
        await until(process.ready, f"{process.name} to be ready")
    return time.monotonic() - began


async def stopped(place: Place, callers: Callers, words: str) -> tuple[float, list[str]]:
    """Once the server says these words: after how long, and what a caller was told."""
    seconds = await until(lambda: words in unwell(place.server), f"the server to say {words!r}")
    assert await callers.ask() == 0
    return seconds, sorted({one.reason for one in callers.all})


def show(capsys: pytest.CaptureFixture[str], what: str, place: Place) -> None:
    lines = len(messages(place.processes, "WARNING")) + len(messages(place.processes, "ERROR"))
    critical = messages(place.processes, "CRITICAL")
    with capsys.disabled():
        sys.stdout.write(f"\n{what}; {lines} lines of warnings, {len(critical)} critical\n")


async def test_foreign_records_are_set_aside_and_work_goes_on(
    place: Place, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    await callers.ask(2)
    producer = Producer({"bootstrap.servers": place.installation.bootstrap_servers})
    foreign: Sequence[tuple[bytes | None, bytes | None, dict[str, bytes]]] = [
        (None, None, {}),
        (b"key", b"no JSON, no headers", {}),
        (b"\xff\xfe", bytes(range(256)), {"ce_type": b"\xff"}),
        (b"t", b"{}", {"ce_type": b"TaskCreated", "ce_tenant": b"tenant-0"}),
        (b"t", b"[" * 50_000, {"content-type": b"application/json"}),
    ]
    for name in ("commands", "events"):
        for number in range(4):
            for key, value, headers in foreign:
                producer.produce(
                    topic(place, name), value, key, number, headers=list(headers.items())
                )
    producer.flush(SECONDS)
    assert await callers.ask(3) == 3 * len(TENANTS)
    wanted = 2 * 4 * len(foreign)

    def set_aside() -> bool:
        found = read_topic(place.installation.bootstrap_servers, topic(place, "dead_letters"))
        return sum(1 for _ in found) >= wanted

    seconds = await until(set_aside, "the dead letters")
    assert readiness(place.server)["ready"]
    await callers.every_acknowledged_is_there()
    assert messages(place.processes, "CRITICAL") == []
    listed = json.loads(place.installation.program("redrive", "list", "--json"))
    assert len(listed["letters"]) == wanted
    show(capsys, f"{wanted} foreign records set aside after {seconds:.1f} s", place)


async def test_a_changed_partition_count_stops_the_work_until_it_is_as_before(
    place: Place, callers: Callers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await callers.ask(3)
    await callers.in_the_graph()
    tool = admin(place)
    [made] = tool.create_partitions([NewPartitions(topic(place, "events"), 6)]).values()
    made.result(SECONDS)
    await until(
        lambda: len(messages(place.processors, "CRITICAL")) >= len(place.processors),
        "the processors to stop",
    )
    seconds, reasons = await stopped(place, callers, "partitions")
    said = unwell(place.server)
    show(capsys, f"noticed after {seconds:.1f} s: {said}; callers: {reasons}", place)
    end(place)
    refused = place.installation.run("processor")
    assert refused.returncode != 0
    assert "6 partitions in the cluster and 4 in the configuration" in refused.stderr

    program = place.installation.program
    file = tmp_path / "events.json.gz"
    program("topics", "export", "events", "--to", str(file))
    [gone] = tool.delete_topics([topic(place, "events")]).values()
    gone.result(SECONDS)
    program("topics", "create")
    program("topics", "import", str(file))
    program("topics", "create", "--new-epoch", "--yes")
    again = await begin_again(place)
    assert await callers.ask(2) == 2 * len(TENANTS)
    await callers.every_acknowledged_is_there()
    await callers.in_the_graph()
    assert program("verify").splitlines()[-1] == "every history is whole"
    show(capsys, f"ready {again:.1f} s after they were started again", place)


async def test_topics_made_anew_stop_the_work_until_a_person_accepts_what_is_lost(
    place: Place, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    await callers.ask(3)
    await callers.in_the_graph()
    tool = admin(place)
    [gone] = tool.delete_topics([topic(place, "events")]).values()
    gone.result(SECONDS)
    await until(lambda: not readiness(place.server)["ready"], "the server to notice")
    place.installation.program("topics", "create")
    seconds, reasons = await stopped(place, callers, "epoch")
    said = unwell(place.server)
    show(capsys, f"noticed after {seconds:.1f} s: {said}; callers: {reasons}", place)
    end(place)
    place.installation.program("topics", "create", "--new-epoch", "--yes")
    again = await begin_again(place)
    assert await callers.ask(2) == 2 * len(TENANTS)
    await callers.every_acknowledged_is_there()
    show(capsys, f"ready {again:.1f} s after they were started again", place)


async def test_a_broker_that_lost_what_it_had_acknowledged_stops_the_work(
    place: Place,
    callers: Callers,
    log: kafka.Broker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, copy = log.home / "data", tmp_path / "copy"
    await callers.ask(3)
    log.kill()
    shutil.copytree(data, copy)
    await asyncio.to_thread(log.start)
    await until(lambda: readiness(place.server)["ready"], "the server to be ready")
    before = callers.accepted
    while callers.accepted < before + LOST:
        await callers.ask()
    await callers.in_the_graph()

    log.kill()
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    await asyncio.to_thread(log.start)
    back = time.monotonic()
    seconds, reasons = await stopped(place, callers, "outside the records kept")
    said = unwell(place.server)
    show(capsys, f"noticed after {seconds:.1f} s: {said}; callers: {reasons}", place)
    end(place)
    place.installation.program("topics", "create", "--new-epoch", "--yes")
    await begin_again(place)
    assert await callers.ask(2) == 2 * len(TENANTS)
    recovered = time.monotonic() - back
    await callers.every_acknowledged_is_there()
    verified = place.installation.run("verify")
    show(
        capsys,
        f"{callers.accepted - before} acknowledged, {LOST} and more of them lost by the broker:"
        f" at work again {recovered:.1f} s after it came back; all are in the graph;"
        f" verify says {verified.stdout.splitlines()[-1:]}",
        place,
    )
