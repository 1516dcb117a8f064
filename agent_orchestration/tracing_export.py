"""Sending spans to a collector: OpenTelemetry's SDK, its batches, and OTLP over HTTP.

A thread of its own sends them. A collector that cannot be reached costs the spans that do not fit
into its queue, a line in the log now and then, and nothing else.
"""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent_orchestration import __version__, tracing
from agent_orchestration.config_tracing import Tracing
from agent_orchestration.core.errors import Rejected

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_SECONDS = 3.0
"""How long the end of a process waits for what has not been sent."""
_PATH = "/v1/traces"
_open: "list[TracerProvider]" = []


@contextmanager
def exported(settings: Tracing, process: str, log: str) -> Generator[None]:
    """Meanwhile this process has spans, where the settings name an endpoint; at the end they are
    sent. `process` is what kind of process it is, `log` what its log is. Raises `Rejected` where
    what it takes is not installed."""
    if settings.endpoint is None:
        yield
        return
    provider = _provider(settings.endpoint, process)
    tracing.start(provider, log, tracing.Rate(settings.traces_per_second))
    _open.append(provider)
    try:
        yield
    finally:
        flush()


def flush() -> None:
    """End tracing, and send what has not been sent, for `FLUSH_SECONDS` at most."""
    tracing.stop()
    while _open:
        # The SDK's own limit is half a minute, and a collector may be silent all the time.
        closing = threading.Thread(target=_open.pop().shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)


def _provider(endpoint: str, process: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 (an extra)
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import (  # noqa: PLC0415
            OTELResourceDetector,
            Resource,
        )
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise Rejected(
            "not_installed",
            "tracing.endpoint: needs what is not installed; install agent-orchestration[tracing],"
            " or leave out the endpoint (OTEL_EXPORTER_OTLP_ENDPOINT)",
            field="tracing.endpoint",
        ) from None
    ours = Resource(
        {
            "service.name": f"agent-orchestration-{process}",
            "service.version": __version__,
            "process.pid": os.getpid(),
        }
    )
    # What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) goes before ours.
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint.rstrip("/") + _PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
