"""Values for service level objectives: from a process's own metrics, and from what is no
Prometheus."""

import asyncio
import math
import time

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_orchestration.cli.slo_sources import FromProcess, asked
from agent_orchestration.cli.slo_targets import Selector
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.metrics import exposed
from tests.listening import listening
from tests.services.kafka import free_port

PAGE = """\
# HELP done_total What was done
# TYPE done_total counter
done_total{path="/a",status="200"} 30.0
done_total{path="/a",status="503"} 2.0
done_total{path="/b",status="500"} 1.0
# HELP shed_total Nothing yet
# TYPE shed_total counter
# HELP seconds How long
# TYPE seconds histogram
seconds_bucket{le="0.1",path="/a"} 1.0
seconds_bucket{le="2.5",path="/a"} 3.0
seconds_bucket{le="+Inf",path="/a"} 3.0
seconds_count{path="/a"} 3.0
seconds_sum{path="/a"} 4.0
seconds_bucket{le="0.1",path="/b"} 4.0
seconds_bucket{le="2.5",path="/b"} 4.0
seconds_bucket{le="+Inf",path="/b"} 5.0
seconds_count{path="/b"} 5.0
seconds_sum{path="/b"} 6.0
# TYPE filled gauge
filled{pool="a"} 0.5
filled{pool="b"} 1.0
# TYPE process_start_time_seconds gauge
process_start_time_seconds %f
"""
DONE = Selector("done_total")


@pytest.fixture
def process() -> FromProcess:
    return FromProcess(PAGE % (time.time() - 100))


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        (DONE, 33),
        (Selector("done_total", labels={"status": "5.."}), 3),
        (Selector("done_total", labels={"status": "5.."}, without={"path": "/b"}), 2),
        (Selector("done_total", labels={"status": "4.."}), 0),
        (Selector("seconds_count", labels={"path": "/a"}), 3),
        (Selector("shed_total"), 0),
        (Selector("done"), None),
        (Selector("shed"), None),
        (Selector("absent_total"), None),
    ],
)
def test_what_was_counted(process: FromProcess, selector: Selector, count: float | None) -> None:
    assert process.increase(selector) == count


def test_a_rate_is_over_the_time_since_the_process_began(process: FromProcess) -> None:
    assert process.rate(DONE) == pytest.approx(0.33, rel=0.1)
    assert process.rate(Selector("absent_total")) is None
    assert FromProcess(PAGE.partition("# TYPE process")[0]).rate(DONE) is None


def test_a_gauge_is_the_mean_of_its_series(process: FromProcess) -> None:
    assert process.mean(Selector("filled")) == 0.75
    assert process.mean(Selector("filled", labels={"pool": "a"})) == 0.5
    assert process.mean(Selector("filled", labels={"pool": "c"})) is None


def test_buckets_are_those_of_all_series_together(process: FromProcess) -> None:
    assert process.buckets(Selector("seconds")) == [(0.1, 5.0), (2.5, 7.0), (math.inf, 8.0)]
    alone = Selector("seconds", without={"path": "/a"})
    assert process.buckets(alone) == [(0.1, 4.0), (2.5, 4.0), (math.inf, 5.0)]
    assert process.buckets(Selector("absent")) == []


def test_what_processes_expose_is_understood() -> None:
    content, _ = exposed("text/plain")
    here = FromProcess(content.decode())
    # Of all of its time: this process has run since before the test.
    assert here.increase(Selector("rejections_total")) is not None
    assert here.increase(Selector("neo4j_connection_failures_total")) is not None
    assert [bound for bound, _ in here.buckets(Selector("decide_duration_seconds"))][-1] == math.inf


async def ask(url: str) -> None:
    """Ask there what a Prometheus would be asked."""
    with asked(url, "5m") as source:
        await asyncio.to_thread(source.increase, DONE)


async def test_what_is_no_address_is_said_to_be_none() -> None:
    with pytest.raises(Rejected, match=r"Invalid port: 'b'; give an address such as"):
        await ask("http://a:b")


async def test_where_nobody_is_nothing_is_known() -> None:
    with pytest.raises(Unavailable, match=r"--prometheus: .* does not answer"):
        await ask(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("content", ["<html>", "[]", '"ok"', "{}"])
async def test_what_is_no_prometheus_is_said_to_be_none(content: str) -> None:
    async def answer(_request: Request) -> Response:
        return Response(content)

    app = Starlette(routes=[Route("/api/v1/query", answer)])
    async with listening(app) as url:
        with pytest.raises(Rejected, match="is no Prometheus"):
            await ask(url)
