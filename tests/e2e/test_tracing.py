"""Spans of the program, as a collector gets them; and a collector that is not there."""

import json
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.collector import collecting
from tests.e2e.program import PATIENCE, run, server, wait_for
from tests.services.kafka import free_port

pytestmark = pytest.mark.process
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


def create(url: str, task_id: str) -> None:
    """Create a task, within a trace."""
    with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False, headers=HEADERS) as web:
        answer = web.post("/api/v1/tools/create_task", json={"id": task_id, "title": task_id})
        assert answer.status_code == 200, answer.text


def test_what_was_not_sent_yet_is_sent_at_the_end(tmp_path: Path) -> None:
    with collecting() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        with server(tmp_path, more=variables) as (process, said):
            create(said["url"], "t")
            assert not collector.bodies
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        assert collector.tree(TRACE) == {
            ("agent-orchestration-dev", "", "tools/call create_task"),
            ("agent-orchestration-dev", "tools/call create_task", "send commands"),
            ("agent-orchestration-dev", "send commands", "decide commands"),
            ("agent-orchestration-dev", "decide commands", "send events"),
            ("agent-orchestration-dev", "send commands", "fold events"),
        }
        assert b"deployment.environment.name" in b"".join(collector.bodies)


def test_a_collector_that_is_not_there_is_said_once_and_delays_nobody(tmp_path: Path) -> None:
    log = tmp_path / "log"
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    with (
        log.open("wb") as stderr,
        server(tmp_path, more=variables, stderr=stderr) as (process, said),
    ):
        create(said["url"], "first")
        wait_for(lambda: b"opentelemetry" in log.read_bytes(), "a line in the log")
        for number in range(50):
            create(said["url"], f"t-{number}")
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        process.wait(PATIENCE)
        assert time.monotonic() - began < 15
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert 1 <= len([one for one in lines if "opentelemetry" in one["logger"]]) <= 6


def test_an_endpoint_that_is_none_stops_the_start(tmp_path: Path) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}
    done = run(tmp_path, "dev", "--port", "0", "--data", "data", more=more)
    assert done.returncode == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in done.stderr
