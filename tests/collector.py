"""A collector of spans: takes OTLP over HTTP and keeps what comes."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """What was told of a span. Ids in hex; `above` is empty where there is no span above it."""

    service: str
    name: str
    trace: str
    id: str
    above: str


class Collector:
    """`url` is the endpoint; `bodies` is all that came, as it came."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        return [span for body in list(self.bodies) for span in _spans(body)]

    def tree(self, trace: str) -> set[tuple[str, str, str]]:
        """Of each span of the trace the service, the name of the span above it (empty where that
        is not known), and its own."""
        spans = [span for span in self.spans() if span.trace == trace]
        names = {span.id: span.name for span in spans}
        return {(span.service, names.get(span.above, ""), span.name) for span in spans}


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.bodies.append(body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_port)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield collector
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _spans(body: bytes) -> Generator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        of = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    of["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                )
