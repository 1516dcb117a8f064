"""When there are spans, below what, and what they say."""

import asyncio
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastmcp.client.transports import StreamableHttpTransport
from opentelemetry.trace import SpanKind, StatusCode

from agent_orchestration import tracing, tracing_export
from agent_orchestration.config import ConfigError, load_config
from agent_orchestration.config_tracing import Tracing
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.tracing import Rate
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.over_mcp import McpCalls
from tests.traced import NOT_RECORDED, SPAN, TRACE, TRACEPARENT, above, span_id, trace_of, traced
from tests.unit.server_fakes import FakeDispatcher, served


def test_without_tracing_there_is_no_span_and_nothing_of_opentelemetry_is_imported() -> None:
    program = """
import sys
from agent_orchestration import tracing, tracing_export
from agent_orchestration.pipeline import spans
with tracing.span("a", {}, begins=True) as span:
    assert span is None and tracing.current() is None and tracing.trace_ids() == {}
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_span_is_below_the_context_that_was_sent() -> None:
    with traced() as spans, tracing.span("a", {"b": 1}, parent=TRACEPARENT, kind="server") as span:
        assert span is not None
    made = spans.named("a")
    assert (trace_of(made), above(made), made.kind) == (TRACE, SPAN, SpanKind.SERVER)
    assert made.attributes == {"b": 1}
    assert made.status.status_code == StatusCode.UNSET


def test_a_span_is_below_the_current_one_and_begins_no_trace_by_itself() -> None:
    with traced() as spans:
        with tracing.span("alone", {}):
            pass
        with tracing.span("outer", {}, begins=True), tracing.span("inner", {}):
            pass
    assert spans.names() == ["inner", "outer"]
    assert above(spans.named("inner")) == span_id(spans.named("outer"))
    assert above(spans.named("outer")) == ""


@pytest.mark.parametrize("parent", [NOT_RECORDED, "00-ab-cd-01", "", TRACEPARENT + "-more"])
def test_where_others_do_not_record_a_trace_nor_do_we(parent: str) -> None:
    with traced() as spans:
        with tracing.span("a", {}, parent=parent, begins=True) as span:
            assert span is None
        assert tracing.begun("b", {}, parent=parent, kind="producer") is None
        recorded = tracing.recorded("c", {}, parent=parent, kind="consumer", times=(1, 2))
        assert recorded is None
    assert spans.names() == []


def test_what_is_over_is_recorded_with_its_times() -> None:
    with traced() as spans:
        context = tracing.recorded(
            "a", {}, parent=TRACEPARENT, kind="consumer", times=(5, 9), problem="fenced"
        )
    made = spans.named("a")
    assert context == f"00-{TRACE}-{span_id(made)}-01"
    assert (made.start_time, made.end_time) == (5, 9)
    assert made.attributes == {"error.type": "fenced"}
    assert made.status.status_code == StatusCode.ERROR


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Rejected("no_room", "swordfish"), "no_room"), (KeyError("swordfish"), "KeyError")],
)
def test_of_an_error_a_span_says_the_kind_and_no_more(error: Exception, kind: str) -> None:
    with (
        traced() as spans,
        pytest.raises(type(error)),
        tracing.span("a", {}, parent=TRACEPARENT),
    ):
        raise error
    made = spans.named("a")
    assert made.attributes == {"error.type": kind}
    assert made.status.status_code == StatusCode.ERROR
    assert "swordfish" not in made.to_json()


def test_a_log_line_has_the_ids_of_the_current_span_or_of_a_context() -> None:
    with traced() as spans, tracing.span("a", {}, parent=TRACEPARENT):
        ids = tracing.trace_ids()
        assert tracing.trace_ids(NOT_RECORDED) == {"trace_id": TRACE, "span_id": SPAN}
        assert tracing.trace_ids("00-ab-cd-01") == {}
    assert ids == {"trace_id": TRACE, "span_id": span_id(spans.named("a"))}
    assert tracing.trace_ids() == {}
    assert tracing.trace_ids(TRACEPARENT) == {"trace_id": TRACE, "span_id": SPAN}


async def test_spans_of_tasks_that_run_together_do_not_meet() -> None:
    async def work(name: str) -> None:
        with tracing.span(name, {}, begins=True):
            await asyncio.sleep(0)
            with tracing.span(f"{name}-inner", {}):
                await asyncio.sleep(0)

    with traced() as spans:
        await asyncio.gather(work("a"), work("b"))
    for name in ("a", "b"):
        assert above(spans.named(f"{name}-inner")) == span_id(spans.named(name))


async def test_calls_over_mcp_are_part_of_the_work_at_hand() -> None:
    async with served(FakeDispatcher()) as url:
        calls = McpCalls(lambda: StreamableHttpTransport(f"{url}/mcp"))
        sent = await calls.call("whoami", {}, Caller(traceparent=TRACEPARENT))
        with traced() as spans:
            with tracing.span("work", {}, begins=True):
                inside = await PatientCalls(calls, Caller())("whoami")
            outside = await PatientCalls(calls, Caller())("whoami")
        await calls.close()
    work = spans.named("work")
    assert sent["traceparent"] == TRACEPARENT
    assert inside["traceparent"].startswith(f"00-{trace_of(work)}-{span_id(work)}-")
    assert "traceparent" not in outside


def test_so_many_traces_begin_in_a_second() -> None:
    now = 0.0
    rate = Rate(2, lambda: now)
    assert [rate.allows() for _ in range(3)] == [True, True, False]
    now = 0.5
    assert [rate.allows() for _ in range(2)] == [True, False]
    now = 1000.0
    assert [rate.allows() for _ in range(3)] == [True, True, False]


def test_what_callers_began_is_not_counted() -> None:
    with traced(per_second=1) as spans:
        for _ in range(3):
            with tracing.span("ours", {}, begins=True):
                pass
            with tracing.span("theirs", {}, parent=TRACEPARENT, begins=True):
                pass
    assert spans.names().count("ours") < 3
    assert spans.names().count("theirs") == 3


# ── settings and the collector


def test_the_usual_variable_names_the_collector() -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert load_config(environ=variables).tracing.endpoint == "http://collector:4318"
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        load_config(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})


def test_without_the_extra_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = Tracing(endpoint="http://127.0.0.1:1")
    with (
        pytest.raises(Rejected, match=r"install agent-orchestration\[tracing\]") as refused,
        tracing_export.exported(settings, "test", "sqlite"),
    ):
        raise AssertionError("it must not begin")
    assert refused.value.details["field"] == "tracing.endpoint"
    assert not tracing.is_on()


def test_without_an_endpoint_there_is_no_tracing() -> None:
    with tracing_export.exported(Tracing(), "test", "sqlite"):
        assert not tracing.is_on()


def test_a_collector_that_is_silent_delays_the_end_of_a_process_by_seconds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.set()
            let_go.wait(30)
            self.send_response(200)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    monkeypatch.setattr(tracing_export, "FLUSH_SECONDS", 0.2)
    server = HTTPServer(("127.0.0.1", 0), Silent)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        settings = Tracing(endpoint=f"http://127.0.0.1:{server.server_port}")
        with tracing_export.exported(settings, "test", "sqlite"):
            with tracing.span("a", {}, begins=True) as span:
                assert span is not None
            began = time.monotonic()
        assert asked.wait(10)
        assert time.monotonic() - began < 3
        assert not tracing.is_on()
    finally:
        let_go.set()
        server.shutdown()
        serving.join()
        server.server_close()
