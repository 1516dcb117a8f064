"""P4: a tool that writes, over HTTP, beside a bare echo on the same server stack."""

import contextlib
import itertools
import statistics
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.engines import engines
from bench.processes import first_line, folder, started
from bench.results import Figure, Row, at_least, at_most, compared, not_measured, within
from bench.tool_calls import Arguments, Clients, Round
from tests.services.jars import NotHere

CLIENTS = (1, 8)
BULK = 100
P50_MS, P99_MS, SHARE, BULK_TIMES = 3.0, 15.0, 0.75, 4.0
#: Rounds are taken in turns, so that what else the machine does meets both sides.
_ROUNDS, _CALLS, _BULK_CALLS = 10, 400, 20
_QUICK_ROUNDS, _QUICK_CALLS, _QUICK_BULK_CALLS = 2, 16, 2


class Size(NamedTuple):
    """How much is measured: rounds of each side, calls in a round."""

    rounds: int
    calls: int
    bulk_calls: int


class Taken(NamedTuple):
    """What one side took: milliseconds at two percentiles, calls per second."""

    p50: float
    p99: float
    calls: float


def measure(quick: bool) -> list[Row]:
    """Latency and throughput of both sides with one client and with eight; then the bulk tool, also
    on Kafka and Neo4j."""
    size = (
        Size(_QUICK_ROUNDS, _QUICK_CALLS, _QUICK_BULK_CALLS)
        if quick
        else Size(_ROUNDS, _CALLS, _BULK_CALLS)
    )
    rows: list[Row] = []
    with folder() as home, _platform(home) as ours, _echo(home) as beside:
        for count in CLIENTS:
            rows += _compared(ours, beside, count, size, quick=quick)
        rows.append(_bulk(f"{_BULK}, embedded", ours, size, quick=quick))
    return [*rows, _bulk_deployed(size, quick)]


@contextlib.contextmanager
def _platform(home: Path, *words: str) -> Generator[str]:
    words = ("dev", "--json", "--port", "0", "--data", str(home / "data"), *words)
    with started(home, "-m", "agent_orchestration", *words) as process:
        yield first_line(process)["url"]


@contextlib.contextmanager
def _echo(home: Path) -> Generator[str]:
    with started(home, "-m", "bench.echo_server") as process:
        yield first_line(process)["url"]


def _compared(ours: str, beside: str, count: int, size: Size, *, quick: bool) -> list[Row]:
    with _clients(ours, count) as our_clients, _clients(beside, count) as echo_clients:
        turns = [
            (
                our_clients.round("create_task", _task, size.calls),
                echo_clients.round("echo", _text, size.calls),
            )
            for _ in range(size.rounds + 1)
        ][1:]  # the first warms both up
    us, them = (_taken(side) for side in zip(*turns, strict=True))

    goals = {
        "p50": ("ms", within(P50_MS, "ms")),
        "p99": ("ms", within(P99_MS, "ms")),
        # A client that waits for each answer measures latency: no throughput with one.
        "calls": ("1/s", at_least(SHARE) if count > 1 else None),
    }
    what = f"create_task beside echo, {count} client{'s' * (count > 1)}"
    return [
        compared("P4", f"{what}: {name}", unit, (a, b), goal, quick=quick, durability="P")
        for (name, (unit, goal)), a, b in zip(goals.items(), us, them, strict=True)
    ]


_BULK = f"submit_plan with {BULK} tasks beside create_task, 1 client, p50"


def _bulk_deployed(size: Size, quick: bool) -> Row:
    what = f"{_BULK}, Kafka and Neo4j"
    try:
        with folder() as home, engines(quick=quick) as servers:
            file = servers.installation()
            with _platform(home, "--config", str(file)) as url:
                return _bulk(what, url, size, quick=quick)
    except NotHere as error:
        return not_measured("P4", what, "ms", str(error))


def _bulk(what: str, url: str, size: Size, *, quick: bool) -> Row:
    with _clients(url, 1) as clients:
        turns = [
            (
                clients.round("submit_plan", _plan, size.bulk_calls),
                clients.round("create_task", _task, size.bulk_calls),
            )
            for _ in range(size.rounds + 1)
        ][1:]
    many, one = (_taken(side) for side in zip(*turns, strict=True))
    goal = at_most(BULK_TIMES)
    return compared("P4", what, "ms", (many.p50, one.p50), goal, quick=quick, durability="P")


@contextlib.contextmanager
def _clients(url: str, count: int) -> Generator[Clients]:
    clients = Clients(url, count)
    try:
        yield clients
    finally:
        clients.close()


def _taken(rounds: Iterable[Round]) -> Taken:
    rounds = list(rounds)
    each = sorted(itertools.chain.from_iterable(one.each for one in rounds))
    # The median round: one that a neighbour disturbed is not what is asked.
    rate = statistics.median(len(one.each) / one.together for one in rounds)
    return Taken(_at(each, 0.50) * 1000, _at(each, 0.99) * 1000, rate)


def _at(ascending: list[float], part: float) -> float:
    return ascending[min(round(part * len(ascending)), len(ascending) - 1)]


def _task(number: int) -> Arguments:
    return {"title": f"Task number {number}"}


def _text(number: int) -> Arguments:
    return {"text": f"Task number {number}"}


def _plan(number: int) -> Arguments:
    tasks = [{"id": f"t{at}", "title": f"Step {at}"} for at in range(BULK)]
    return {"title": f"Plan number {number}", "tasks": tasks}


FIGURE = Figure("P4", "a tool that writes, over HTTP, beside a bare echo", measure)
