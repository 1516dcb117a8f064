"""The network to Kafka or Neo4j fails under load, in ways in which nobody is told that it does: who
asks is told, work resumes by itself, and nothing that was acknowledged is lost.

`AO_OUTAGE_SECONDS` says for how long it is silent (by hand, `make chaos`: 60).
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.place import Place, outage, under_load, until, working
from tests.services import kafka, neo4j, toxiproxy
from tests.services.toxiproxy import BOTH, Proxy

CHROMOSOMES = 1
OUTAGE = float(os.environ.get("AO_OUTAGE_SECONDS", "5"))
#: How long it is slow, and how long connections are cut.
SECONDS = 5.0
#: In milliseconds, and in kilobytes a second.
LATENCY, JITTER, BANDWIDTH = 200, 100, 512
#: So long connections last, in seconds.
LIVES = (0.5, 1.0)

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(600 + 10 * OUTAGE),
    pytest.mark.parametrize("name", ["log", "graph"]),
]


class Network(NamedTuple):
    """How an installation reaches its engines: each over a proxy only."""

    log: Proxy
    graph: Proxy

    def way(self, name: str) -> Proxy:
        """To that engine."""
        return getattr(self, name)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Generator[Network]:
    folder = tmp_path_factory.mktemp("network")
    port = kafka.free_port()
    with (
        toxiproxy.own_server(folder / "toxiproxy") as server,
        kafka.own_broker(folder / "kafka", proxied=port) as broker,
        neo4j.own_server(folder / "neo4j") as address,
    ):
        bolt = int(address.uri.rpartition(":")[2])
        yield Network(
            server.proxy("log", port, broker.upstream),
            server.proxy("graph", kafka.free_port(), bolt),
        )


@pytest.fixture
def place(tmp_path: Path, network: Network) -> Generator[Place]:
    servers = f"127.0.0.1:{network.log.port}"
    database = neo4j.Address(f"bolt://127.0.0.1:{network.graph.port}")
    try:
        with working(tmp_path, servers, database) as place:
            yield place
    finally:
        for proxy in network:
            proxy.heal()


async def test_work_resumes_after_silence(
    network: Network, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    proxy = network.way(name)
    async with under_load(place, tmp_path, CHROMOSOMES) as trial:
        # What is sent disappears, and connections stay open.
        silence = partial(proxy.add, "timeout", *BOTH, timeout=0)
        noticed, checks = await outage(place, silence, proxy.heal, OUTAGE)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name} silent for {OUTAGE:.0f} s: noticed after {noticed:.1f} s, {trial}\n"
        )
    assert not checks[name]["ok"], checks
    assert checks[name]["detail"]
    trial.check(OUTAGE)


async def test_work_goes_on_over_a_slow_network(
    network: Network, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    proxy = network.way(name)
    async with under_load(place, tmp_path, CHROMOSOMES) as trial:
        proxy.add("latency", "downstream", latency=LATENCY, jitter=JITTER)
        proxy.add("bandwidth", *BOTH, rate=BANDWIDTH)
        accepted, began = len(trial.prober.accepted), time.monotonic()
        await trial.load.progress(20)
        await until(lambda: len(trial.prober.accepted) > accepted, "a command to be accepted")
        went_on = time.monotonic() - began
        await asyncio.sleep(max(SECONDS - went_on, 0))
        proxy.heal()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name} slow for {SECONDS:.0f} s: 20 tasks within {went_on:.1f} s, {trial}\n"
        )
    assert trial.prober.refused == 0, trial.prober.reason
    trial.check(SECONDS)


async def test_work_resumes_after_connections_were_cut_again_and_again(
    network: Network, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    proxy, chance = network.way(name), random.Random(1)
    cuts = 0
    async with under_load(place, tmp_path, CHROMOSOMES) as trial:
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            await asyncio.to_thread(proxy.cut)
            cuts += 1
            await asyncio.sleep(chance.uniform(*LIVES))
    with capsys.disabled():
        sys.stdout.write(f"\n{name} cut {cuts} times in {SECONDS:.0f} s: {trial}\n")
    trial.check(SECONDS)
