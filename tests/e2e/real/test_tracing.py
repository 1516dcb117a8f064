"""One call followed through server, processor and worker, on a real Kafka and a real Neo4j."""

import json
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from tests.collector import Collector, collecting
from tests.e2e.program import PATIENCE, started, wait_for
from tests.e2e.real.installation import TOKEN, Installation, Process, Server, installed
from tests.services import neo4j

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
SECRET = "swordfish"
#: For each way an agent of its own: none waits for work any more when the other one's comes.
MODULE = """
from agent_orchestration.workers import agent

@agent(capabilities=["{0}"])
def {0}(word: str) -> str:
    return word
"""
SERVER, PROCESSOR, WORKER = (
    f"agent-orchestration-{name}" for name in ("server", "processor", "worker")
)
SUBMITTED = {
    (SERVER, "", "tools/call submit_plan"),
    (SERVER, "tools/call submit_plan", "send commands"),
    (PROCESSOR, "send commands", "decide commands"),
    (PROCESSOR, "decide commands", "send events"),
    (PROCESSOR, "send commands", "fold events"),
}


def worked(agent: str) -> set[tuple[str, str, str]]:
    return {
        (WORKER, "send commands", f"invoke_agent {agent}"),
        (SERVER, f"invoke_agent {agent}", "tools/call complete_task"),
        (SERVER, "tools/call complete_task", "send commands"),
    }


def variables(collector: Collector) -> dict[str, str]:
    """For a process that sends its spans there, soon."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, database: neo4j.Address, collector: Collector
) -> Generator[Installation]:
    folder = tmp_path_factory.mktemp("traced")
    with installed(folder, database, variables=variables(collector)) as prepared:
        yield prepared


@pytest.fixture(scope="module")
def processor(traced: Installation) -> Process:
    return traced.processor("processor")


@pytest.fixture(scope="module")
def server(traced: Installation, processor: Process) -> Server:
    started = traced.server("server")
    for process in (processor, started):
        wait_for(process.ready, f"{process.name} to be ready")
    return started


@pytest.mark.parametrize(
    ("way", "trace"), [("http", "0af7651916cd43dd8448eb211c80319c"), ("mcp", "1" * 32)]
)
async def test_a_plan_is_one_trace_through_all_processes(
    tmp_path: Path, server: Server, collector: Collector, way: str, trace: str
) -> None:
    task = {"id": "t", "title": SECRET, "payload": {"word": SECRET}}
    plan = {
        "id": f"plan-{way}",
        "title": SECRET,
        "description": SECRET,
        "tasks": [task | {"requires": [{"capability": way}]}],
        "idempotency_key": f"{SECRET}-{way}",
    }
    meta = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    async with Client(StreamableHttpTransport(f"{server.url}/mcp"), timeout=PATIENCE) as client:
        await client.call_tool("submit_plan", plan, meta=meta)
    # A worker knows of the installation no more than where its server is.
    (tmp_path / "tellers.py").write_text(MODULE.format(way), "utf-8")
    words = ["worker", "--module", "tellers.py", "--json"]
    more = {"AGENT_ORCHESTRATION_SERVER": server.url, **variables(collector)}
    if way == "mcp":
        words += ["--mcp", f"{server.url}/mcp"]
    with started(tmp_path, *words, more=more) as worker:
        expected = SUBMITTED | worked(way)
        wait_for(lambda: collector.tree(trace) >= expected, f"the trace of {way}")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0
    spans = [span for span in collector.spans() if span.trace == trace]
    ids = {span.id for span in spans}
    assert [span.name for span in spans if span.above not in ids] == ["tools/call submit_plan"]


def test_no_span_holds_a_secret(
    traced: Installation, server: Server, processor: Process, collector: Collector
) -> None:
    for process in (server, processor):
        process.send(signal.SIGTERM)
        process.wait(PATIENCE)
    assert {span.service for span in collector.spans()} == {SERVER, PROCESSOR, WORKER}
    for secret in (SECRET, TOKEN, traced.database.password):
        assert not any(secret.encode() in body for body in collector.bodies)
    for process in (server, processor):
        lines = process.log.read_text("utf-8").splitlines()
        assert not [line for line in lines if "opentelemetry" in json.loads(line)["logger"]]
