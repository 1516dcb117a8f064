"""One call followed through server, processor and worker, on a real Kafka and a real Neo4j."""

import json
import signal
from collections.abc import Generator, Iterator

import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from tests.collector import Collector, collecting
from tests.e2e.program import PATIENCE, started, wait_for
from tests.e2e.real.installation import TOKEN, Installation, Process, Server, installed
from tests.services import neo4j

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
SECRET = "swordfish"
MODULE = f"""
from agent_orchestration.workers import agent

@agent(capabilities=["tell"])
def teller(word: str) -> str:
    assert word == "{SECRET}"
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
WORKED = {
    (WORKER, "send commands", "invoke_agent teller"),
    (SERVER, "invoke_agent teller", "tools/call complete_task"),
    (SERVER, "tools/call complete_task", "send commands"),
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, database: neo4j.Address, collector: Collector
) -> Generator[Installation]:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    folder = tmp_path_factory.mktemp("traced")
    (folder / "tellers.py").write_text(MODULE, "utf-8")
    with installed(folder, database, variables=variables) as prepared:
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
    traced: Installation, server: Server, collector: Collector, way: str, trace: str
) -> None:
    task = {"id": "t", "title": SECRET, "payload": {"word": SECRET}}
    plan = {
        "id": f"plan-{way}",
        "title": SECRET,
        "description": SECRET,
        "tasks": [task | {"requires": [{"capability": "tell"}]}],
        "idempotency_key": f"{SECRET}-{way}",
    }
    meta = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    async with Client(StreamableHttpTransport(f"{server.url}/mcp"), timeout=PATIENCE) as client:
        await client.call_tool("submit_plan", plan, meta=meta)
    words = ["worker", "--module", "tellers.py", "--json"]
    more = {"AGENT_ORCHESTRATION_SERVER": server.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    more["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    if way == "mcp":
        words += ["--mcp", f"{server.url}/mcp"]
    with started(traced.folder, *words, more=more) as worker:
        wait_for(lambda: collector.tree(trace) >= SUBMITTED | WORKED, f"the trace of {way}")
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
