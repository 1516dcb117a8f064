"""Spans of the process of the test, kept where the test can look at them."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from agent_orchestration import tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
"""A caller's, who wants the trace to be recorded."""
NOT_RECORDED = f"00-{TRACE}-{SPAN}-00"


class Spans:
    """What has ended by now."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def ended(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def names(self) -> list[str]:
        return sorted(span.name for span in self.ended())

    def named(self, name: str) -> ReadableSpan:
        """The one with that name."""
        [found] = [span for span in self.ended() if span.name == name]
        return found

    def tree(self, trace: str) -> set[tuple[str | None, str]]:
        """The names of a trace's spans, each after that of the span above it; None where that was
        made elsewhere."""
        spans = [span for span in self.ended() if trace_of(span) == trace]
        names = {span_id(span): span.name for span in spans}
        return {(names.get(above(span)), span.name) for span in spans}

    def clear(self) -> None:
        self._exporter.clear()


@contextmanager
def traced(per_second: int = 1000) -> Generator[Spans]:
    """Meanwhile there is tracing."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.start(provider, "sqlite", tracing.Rate(per_second))
    try:
        yield Spans(exporter)
    finally:
        tracing.stop()
        provider.shutdown()


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def span_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_span_id(span.context.span_id)


def above(span: ReadableSpan) -> str:
    """The id of the span above; empty where there is none."""
    return "" if span.parent is None else format_span_id(span.parent.span_id)
