"""Spans: what a process did for one call, as a part of the call's trace.

A process begins without tracing: then nothing is recorded, nothing of OpenTelemetry is imported,
and each of the functions here returns at once. Contexts of traces have the W3C's text form,
`traceparent`: callers send it, commands and events carry it, so that the spans of all processes
come together. What others of a trace have decided holds: where its `traceparent` says that it is
not recorded, there are no spans of it here either.

Spans hold names, ids and figures. What callers say and models answer, error messages included, may
be secret and is left out.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeGuard

from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.types import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

Kind = Literal["client", "consumer", "internal", "producer", "server"]
Attributes = Mapping[str, str | int]

NAME = "agent_orchestration"


class Rate:
    """Lets `per_second` things happen in a second, and as many at once after a quiet one; `clock`
    gives seconds."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left = float(per_second)
        self._asked = clock()

    def allows(self) -> bool:
        """Whether one more may happen now; it counts then."""
        now = self._clock()
        earned = (now - self._asked) * self._per_second
        self._left = min(self._left + earned, self._per_second)
        self._asked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Tracing:
    """What makes spans; `log` is how the log is called where spans name it."""

    def __init__(self, provider: "TracerProvider", log: str, rate: Rate) -> None:
        # Imported when there is tracing: it takes a twentieth of a second.
        from opentelemetry import context, trace  # noqa: PLC0415 (start-up time)
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self.log = log
        self.rate = rate
        self._trace = trace
        self._empty = context.Context()
        self._propagator = tracecontext.TraceContextTextMapPropagator()
        self._tracer = provider.get_tracer(NAME)

    def begun(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        context: "Context | None",
        began: int | None = None,
    ) -> "Span | None":
        """A span below that of the context, without one below the current span; None where it would
        not be recorded."""
        span_kind = self._trace.SpanKind[kind.upper()]
        span = self._tracer.start_span(name, context, span_kind, attributes, start_time=began)
        return span if span.is_recording() else None

    def root(self, name: str, kind: Kind, attributes: Attributes) -> "Span | None":
        """The first span of a trace, as long as there are not too many of them."""
        return self.begun(name, kind, attributes, self._empty) if self.rate.allows() else None

    def context(self, traceparent: str) -> "Context":
        """A context from its text form."""
        return self._propagator.extract({"traceparent": traceparent}, self._empty)

    def traceparent(self, span: "Span") -> str:
        """The context of a span."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._trace.set_span_in_context(span, self._empty))
        return carrier["traceparent"]

    def current(self) -> "Span | None":
        """The span that is current, None where there is none that is recorded."""
        span = self._trace.get_current_span()
        return span if span.get_span_context().trace_flags.sampled else None

    def entered(self, span: "Span") -> Generator["Span"]:
        """Make it current, and end it; what is raised says how it failed."""
        with self._trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield span
            except BaseException as error:
                self.failed(span, error_type(error))
                raise

    def failed(self, span: "Span", problem: str) -> None:
        """It did not do what it was for; `problem` is the kind of error."""
        span.set_attribute("error.type", problem)
        span.set_status(self._trace.StatusCode.ERROR)


_tracing: _Tracing | None = None


def start(provider: "TracerProvider", log: str, rate: Rate) -> None:
    """From now on there are spans, made by `provider`. `log` is what the log is, as
    `messaging.system` has it; `rate` how many traces may begin here."""
    global _tracing  # noqa: PLW0603 (one for the process: whoever makes spans is far from here)
    _tracing = _Tracing(provider, log, rate)


def stop() -> None:
    """From now on there are none."""
    global _tracing  # noqa: PLW0603 (see above)
    _tracing = None


def is_on() -> bool:
    """Whether there is tracing in this process."""
    return _tracing is not None


def log_system() -> str:
    """What the log is, for `messaging.system`."""
    return _tracing.log if _tracing is not None else ""


def records(traceparent: str | None) -> TypeGuard[str]:
    """Whether spans are to be made below that context: there is tracing here, and the trace is
    recorded."""
    if _tracing is None or traceparent is None:
        return False
    found = TRACEPARENT.fullmatch(traceparent)
    return found is not None and int(found["flags"], 16) & 1 == 1


@contextmanager
def span(
    name: str,
    attributes: Attributes,
    *,
    parent: str | None = None,
    kind: Kind = "internal",
    begins: bool = False,
) -> Generator["Span | None"]:
    """A span that is current meanwhile; None where nothing is recorded.

    It is below `parent`, or below the current span; where `begins` is set, it begins a trace where
    no parent is named. An exception makes it one that failed, and is no more than named in it.
    """
    tracing = _tracing
    made = None
    if tracing is not None:
        if begins and parent is None:
            made = tracing.root(name, kind, attributes)
        elif parent is None:
            inside = tracing.current() is not None
            made = tracing.begun(name, kind, attributes, None) if inside else None
        elif records(parent):
            made = tracing.begun(name, kind, attributes, tracing.context(parent))
    if tracing is None or made is None:
        yield None
    else:
        yield from tracing.entered(made)


def begun(
    name: str, attributes: Attributes, *, parent: str | None, kind: Kind
) -> "tuple[Span, str] | None":
    """A span below `parent` that is not current and that the caller ends, and its context; None
    where nothing is recorded."""
    if _tracing is None or not records(parent):
        return None
    made = _tracing.begun(name, kind, attributes, _tracing.context(parent))
    return None if made is None else (made, _tracing.traceparent(made))


def recorded(
    name: str,
    attributes: Attributes,
    *,
    parent: str | None,
    kind: Kind,
    times: tuple[int, int],
    problem: str | None = None,
) -> str | None:
    """A span of what is over, from when to when (nanoseconds since the epoch), and its context;
    None where nothing is recorded. `problem` is the kind of error that it ended with."""
    if _tracing is None or not records(parent):
        return None
    began, ended = times
    made = _tracing.begun(name, kind, attributes, _tracing.context(parent), began)
    if made is None:
        return None
    if problem is not None:
        _tracing.failed(made, problem)
    made.end(ended)
    return _tracing.traceparent(made)


def fail(span: "Span", problem: str) -> None:
    """Say that what the span is about failed; `problem` is the kind of error."""
    if _tracing is not None:
        _tracing.failed(span, problem)


def current() -> str | None:
    """The context of the current span, None where there is none that is recorded."""
    found = _tracing.current() if _tracing is not None else None
    return None if _tracing is None or found is None else _tracing.traceparent(found)


def trace_ids(traceparent: str | None = None) -> dict[str, str]:
    """What a line of the log says of the trace that it belongs to: `trace_id` and `span_id` of that
    context, or of the current span; nothing where there is none."""
    context = traceparent or current()
    found = None if context is None else TRACEPARENT.fullmatch(context)
    return {} if found is None else {key: found[key] for key in ("trace_id", "span_id")}


def error_type(error: BaseException) -> str:
    """The kind of an error, for `error.type`: the platform's code, or the name of its class."""
    return error.code if isinstance(error, PlatformError) else type(error).__name__
