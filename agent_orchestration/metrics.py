"""What Prometheus is told of this process."""

import itertools
from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from agent_orchestration.core.errors import Rejected
from agent_orchestration.measures import MEASURES, Count, Distribution, Gauge, Labels, Measure
from agent_orchestration.resilience import BREAKERS, CircuitBreakerRegistry, CircuitBreakerState


class BreakerCollector(Collector):
    """`circuit_breaker_state`: for each breaker 1 in its present state and 0 in the others, read
    when somebody asks."""

    def __init__(self, breakers: CircuitBreakerRegistry) -> None:
        self._breakers = breakers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See `Collector`."""
        gauge = GaugeMetricFamily(
            "circuit_breaker_state",
            "1 for the state that the circuit breaker of a service is in",
            labels=("service", "state"),
        )
        for one in self._breakers.status():
            for state in CircuitBreakerState:
                gauge.add_metric((one.name, state.value), float(one.state is state))
        yield gauge


class MeasureCollector(Collector):
    """What the process counts of its own work, as it is when somebody asks."""

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        for measure in MEASURES:
            match measure:
                case Count():
                    yield _plain(CounterMetricFamily, measure, measure.values)
                case Gauge():
                    yield _plain(GaugeMetricFamily, measure, measure.read())
                case Distribution():
                    yield _histogram(measure)


def _plain(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    measure: Measure,
    values: Mapping[Labels, float],
) -> Metric:
    found = family(measure.name, measure.meaning, labels=measure.labels)
    for labels, value in list(values.items()):
        found.add_metric(labels, value)
    return found


def _histogram(measure: Distribution) -> Metric:
    found = HistogramMetricFamily(measure.name, measure.meaning, labels=measure.labels)
    bounds = [*map(str, measure.bounds), "+Inf"]
    for labels, series in list(measure.values.items()):
        buckets = list(zip(bounds, itertools.accumulate(series.counts), strict=True))
        found.add_metric(labels, buckets, series.sum)
    return found


METRICS = CollectorRegistry()
"""All metrics of this process."""
METRICS.register(BreakerCollector(BREAKERS))
METRICS.register(MeasureCollector())
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=METRICS)


def exposed(accept: str) -> tuple[bytes, str]:
    """All metrics as they are now, and their media type; `accept` is the header of who asks."""
    try:
        encode, media_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it takes what it is asked for to be well formed
        encode, media_type = choose_encoder("")
    return encode(METRICS), media_type


def serve_metrics(port: int, host: str) -> None:
    """Serve them in a thread that ends with the process. Raises `Rejected` where the port cannot be
    used."""
    try:
        start_http_server(port, host, METRICS)
    except OSError as error:
        problem = f"metrics_port: {port} cannot be listened on ({error.strerror}); choose another"
        raise Rejected("port_refused", problem, field="metrics_port") from None
