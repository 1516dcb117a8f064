"""What servers say was counted, by the process that counts: where it is, and where it is not."""

import signal
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, wait_for
from tests.e2e.real.installation import TOKEN, Installation, Server
from tests.services import kafka

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
TASKS = 10


@pytest.fixture(scope="module")
def port() -> int:
    return kafka.free_port()


@pytest.fixture(scope="module")
def server(installation: Installation, port: int) -> Server:
    where = {"AGENT_ORCHESTRATION_ANALYTICS": f"http://127.0.0.1:{port}"}
    processor, server = installation.processor("processor"), installation.server("server", **where)
    for process in (processor, server):
        wait_for(process.ready, f"{process.name} to be ready")
    return server


def post(server: Server, tool: str, **arguments: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant": "acme"}
    url = f"{server.url}/api/v1/tools/{tool}"
    return httpx2.post(url, json=arguments, headers=headers, timeout=PATIENCE, trust_env=False)


def call(server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = post(server, tool, **arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def completed(server: Server) -> int:
    """How many of the tenant's tasks were counted as completed; -1 where nobody can say."""
    answer = post(server, "get_analytics", window="day", measure="tasks")
    if answer.status_code == 503:
        return -1
    return answer.json()["result"]["total"]["tasks_completed"]


def test_servers_answer_what_the_process_counts_and_say_where_there_is_none(
    installation: Installation, server: Server, port: int
) -> None:
    missing = post(server, "get_analytics")
    assert (missing.status_code, missing.json()["code"]) == (503, "no_analytics")
    call(server, "register_agent", id="ann", name="Ann", kind="function", capabilities=[])
    analytics = installation.analytics("analytics", port)
    wait_for(lambda: completed(server) == 0, "nothing to be counted yet")
    for number in range(TASKS):
        call(server, "create_task", id=f"t{number}", title="T")
        held = call(server, "claim_task", agent_id="ann")
        said = {"agent_id": "ann", "attempt": held["attempt"]}
        call(server, "complete_task", task_id=held["task"]["id"], **said)
    wait_for(lambda: completed(server) == TASKS, "all tasks to be counted")
    found = call(server, "get_analytics", window="day", measure="times")["total"]
    assert (found["queue"]["count"], found["run"]["count"]) == (TASKS, TASKS)
    analytics.kill()
    assert completed(server) == -1
    metrics = kafka.free_port()
    again = installation.analytics("analytics-2", port, "--metrics-port", str(metrics))
    wait_for(lambda: completed(server) == TASKS, "the process to go on where it was")
    shown = httpx2.get(f"http://127.0.0.1:{metrics}/metrics", trust_env=False).text
    assert "# TYPE analytics_last_minute gauge" in shown
    again.send(signal.SIGTERM)
    assert again.wait(PATIENCE) == 128 + signal.SIGTERM
    assert "CRITICAL" not in again.log.read_text("utf-8")
