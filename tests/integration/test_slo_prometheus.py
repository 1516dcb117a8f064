"""What a real Prometheus says of values, beside what is made of them here."""

import http.server
import itertools
import random
import threading
from collections.abc import Iterator

import pytest

from agent_orchestration.cli.slo_sources import FromPrometheus, asked
from agent_orchestration.cli.slo_targets import NotMeasured, Selector, histogram_quantile
from agent_orchestration.core.errors import Rejected
from tests.e2e.program import wait_for
from tests.services.prometheus import Prometheus, own_server

pytestmark = [pytest.mark.slow, pytest.mark.process]
CASES = 100
QUANTILES = (0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999)
GROWTH = {"a": 30, "b": 10}


class Page(http.server.BaseHTTPRequestHandler):
    """Metrics of which those that are called `grown` are larger each time."""

    asked = itertools.count(1)
    still: str = ""

    def do_GET(self) -> None:
        times = next(self.asked)
        lines = ["# TYPE unused_total counter", "# TYPE grown_total counter"]
        lines += [f'grown_total{{of="{of}"}} {by * times}' for of, by in GROWTH.items()]
        lines += ["# TYPE grown histogram"]
        lines += [f'grown_bucket{{le="{le}"}} {n * times}' for le, n in (("1", 1), ("2", 3))]
        lines += [f'grown_bucket{{le="+Inf"}} {4 * times}', f"grown_count {4 * times}"]
        lines += ["# TYPE filled gauge", 'filled{of="a"} 0.25', 'filled{of="b"} 0.75']
        content = "\n".join([*lines, self.still, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Nobody reads it."""


def buckets(seed: int) -> list[tuple[float, float]]:
    """Those of a histogram: some values at most each bound, which may be none, or negative."""
    chosen = random.Random(seed)
    bounds = sorted({round(chosen.uniform(-1, 60), 3) for _ in range(chosen.randint(1, 12))})
    counts = [chosen.choice((0, 0, 1, 7, 400)) for _ in (*bounds, None)]
    return list(zip([*bounds, float("inf")], itertools.accumulate(counts), strict=True))


HISTOGRAMS = {str(seed): buckets(seed) for seed in range(CASES)}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that knows the page."""
    lines = ["# TYPE still histogram"]
    for case, found in HISTOGRAMS.items():
        bounds = ((str(bound).replace("inf", "+Inf"), count) for bound, count in found)
        lines += [f'still_bucket{{case="{case}",le="{le}"}} {n}' for le, n in bounds]
        lines += [f'still_count{{case="{case}"}} {found[-1][1]}']
    Page.still = "\n".join(lines)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        target = f"127.0.0.1:{server.server_port}"
        job = {"job_name": "page", "static_configs": [{"targets": [target]}]}
        config = {"global": {"scrape_interval": "200ms"}, "scrape_configs": [job]}
        try:
            with own_server(tmp_path_factory.mktemp("prometheus") / "home", config) as started:
                wait_for(lambda: bool(started.query("grown_total > 100")), "some values")
                yield started
        finally:
            server.shutdown()


@pytest.fixture
def source(prometheus: Prometheus) -> Iterator[FromPrometheus]:
    with asked(prometheus.url, "1h") as found:
        yield found


@pytest.mark.parametrize("quantile", QUANTILES)
def test_quantiles_are_those_of_prometheus(prometheus: Prometheus, quantile: float) -> None:
    answer = prometheus.query(f"histogram_quantile({quantile}, still_bucket)")
    expected = {labels["case"]: value for labels, value in answer}
    assert len(expected) == CASES
    for case, found in HISTOGRAMS.items():
        if found[-1][1]:
            value = histogram_quantile(quantile, found)
            assert value == pytest.approx(expected[case], rel=1e-12), (case, found)
        else:
            assert expected[case] != expected[case], "NaN"
            with pytest.raises(NotMeasured):
                histogram_quantile(quantile, found)


def test_what_grows_is_told_apart_by_its_labels(source: FromPrometheus) -> None:
    every = source.increase(Selector("grown_total"))
    one = source.increase(Selector("grown_total", labels={"of": "a|c"}, without={"of": "c"}))
    assert every is not None
    assert one is not None
    # Both grow from one question to the next.
    assert one / every == pytest.approx(0.75, rel=0.2)
    assert one > 0
    rate = source.rate(Selector("grown_total"))
    assert rate is not None
    assert rate == pytest.approx(every / 3600, rel=0.2)


def test_the_buckets_of_what_grows_have_its_quantiles(source: FromPrometheus) -> None:
    assert histogram_quantile(0.5, source.buckets(Selector("grown"))) == pytest.approx(1.5)
    assert source.buckets(Selector("absent")) == []


def test_a_gauge_is_its_mean_over_time_and_series(source: FromPrometheus) -> None:
    assert source.mean(Selector("filled")) == pytest.approx(0.5)
    assert source.mean(Selector("up", labels={"job": "page"})) == 1.0
    assert source.mean(Selector("absent")) is None


def test_what_was_never_counted_is_none_and_what_nobody_knows_is_unknown(
    source: FromPrometheus,
) -> None:
    assert source.increase(Selector("unused_total")) == 0.0
    assert source.increase(Selector("grown_total", labels={"of": "z"})) == 0.0
    assert source.increase(Selector("absent_total")) is None


def test_what_prometheus_refuses_is_said_in_its_words(source: FromPrometheus) -> None:
    # Python looks ahead, Prometheus does not.
    with pytest.raises(Rejected, match=r"--prometheus: .*error parsing regexp"):
        source.increase(Selector("grown_total", labels={"of": "(?=a)a"}))
