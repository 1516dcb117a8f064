"""What clients do and send, on Kafka and Neo4j: the same tests as on the embedded backends, and
what the log then looks like to other programs."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from tests.e2e.check_log import check, kept_value
from tests.e2e.journey import Journey
from tests.e2e.log_entities import Record
from tests.e2e.program import PATIENCE, PROGRAM, wait_for
from tests.e2e.real.installation import TOKEN, Installation
from tests.e2e.real.log_reader import headers, messages, read_topic
from tests.e2e.server_process import Server, post
from tests.e2e.test_bad_input import (
    PREPARATION,
    test_bytes_that_are_no_usable_json_are_refused_at_every_door,
    test_over_http_bad_values_are_refused_by_name_and_change_nothing,
)
from tests.e2e.test_large_input import (
    test_nine_megabytes_are_kept_as_a_blob_and_can_be_read,
    test_over_mcp_every_json_field_takes_nine_megabytes,
)
from tests.e2e.test_mcp_conversations import test_two_agents_ask_and_answer
from tests.e2e.test_mcp_http import test_a_client_does_the_whole_journey
from tests.e2e.test_mcp_teams import test_a_team_works_off_a_plan

__all__ = [
    "test_a_client_does_the_whole_journey",
    "test_a_team_works_off_a_plan",
    "test_bytes_that_are_no_usable_json_are_refused_at_every_door",
    "test_nine_megabytes_are_kept_as_a_blob_and_can_be_read",
    "test_over_http_bad_values_are_refused_by_name_and_change_nothing",
    "test_over_mcp_every_json_field_takes_nine_megabytes",
    "test_two_agents_ask_and_answer",
]
pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
TOPICS = ("commands", "events", "system_events")
RECORD_BYTES = 1_000_000
#: A client's own Cypher sees the whole graph, and only one tenant may ask with it.
OF_THE_DEFAULT_TENANT = "test_a_client_does_the_whole_journey"


class TenantServer(Server):
    """A `serve`, to clients that act for one tenant."""

    def __init__(self, folder: Path, pid: int, url: str, tenant: str | None) -> None:
        super().__init__(folder, pid, url)
        self._headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant": tenant} if tenant else {}

    def mcp(self, era: str, headers: Mapping[str, str] | None = None) -> Client[Any]:
        """See `Server`."""
        return super().mcp(era, {**self._headers, **(headers or {})})

    def http(self) -> httpx2.Client:
        """See `Server`."""
        client = super().http()
        client.headers.update(self._headers)
        return client


@pytest.fixture(scope="module")
def running(installation: Installation) -> Iterator[Server]:
    processor = installation.processor("processor")
    server = installation.server("server")
    for process in (processor, server):
        wait_for(process.ready, f"{process.name} to be ready")
    yield Server(installation.folder, server.pid, server.url)
    for process in (processor, server):
        assert "CRITICAL" not in process.log.read_text("utf-8")


@pytest.fixture(scope="module")
def prepared() -> set[str]:
    """The tenants that have what the tests of bad input need."""
    return set()


@pytest.fixture
def server(request: pytest.FixtureRequest, running: Server, prepared: set[str]) -> TenantServer:
    """For the other modules' tests: as if each had a server to itself."""
    name = request.function.__name__
    tenant = None if name == OF_THE_DEFAULT_TENANT else name
    found = TenantServer(running.folder, running.pid, running.url, tenant)
    if "_bad_values_" in name and name not in prepared:
        prepared.add(name)
        with found.http() as http:
            for tool, arguments in PREPARATION:
                status, answer = post(http, tool, arguments)
                assert status == 200, answer
    return found


async def test_a_client_does_the_whole_journey_over_stdio(
    installation: Installation, running: Server
) -> None:
    """A desktop program's own process, which decides nothing itself."""
    transport = StdioTransport(
        PROGRAM[0],
        [*PROGRAM[1:], "mcp", "--tools", "all"],
        env=installation.environment(),
        cwd=str(installation.folder),
        keep_alive=False,
    )
    async with Client(transport, timeout=PATIENCE) as client:
        await Journey(client, "stdio").run()


# --- the log, as others see it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(running: Server) -> None:
    """Whatever other tests did here: a task was completed, and a command refused."""
    work = TenantServer(running.folder, running.pid, running.url, "written")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("register_agent", {"id": "ann", "name": "Ann", "kind": "human", "capabilities": []}),
        ("create_task", {"id": "one", "title": "One"}),
        ("claim_task", {"agent_id": "ann"}),
        ("start_task", {"task_id": "one", "agent_id": "ann", "attempt": 1}),
        ("complete_task", {"task_id": "one", "agent_id": "ann", "attempt": 1}),
    ]
    with work.http() as http:
        for tool, arguments in calls:
            status, answer = post(http, tool, arguments)
            assert status == 200, (tool, answer)
        status, answer = post(http, "create_task", {"id": "one", "title": "Another"})
        assert status == 422, answer


def record_of(installation: Installation, record: Record) -> Record:
    """The record with what is kept beside the log."""
    record.value = kept_value(record, installation.folder / "data" / "blobs")
    return record


@pytest.mark.usefixtures("written")
def test_the_log_keeps_every_promise(installation: Installation) -> None:
    def records(topic: str) -> list[Record]:
        found = read_topic(installation.bootstrap_servers, installation.prefix + topic)
        return [record_of(installation, record) for record in found]

    events = records("events")
    summary = check(events, records("commands"))
    assert summary["violations"] == []
    assert summary["events"]["TaskCompleted"] > 0
    verified = json.loads(installation.program("verify", "--json"))
    assert verified["problems"] == []
    # Time goes on: leases of other tests run out meanwhile.
    assert len(events) <= verified["events"] <= len(records("events"))


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("topic", TOPICS)
def test_other_programs_read_cloud_events(installation: Installation, topic: str) -> None:
    """CloudEvents 1.0 in Kafka's binary mode: attributes in headers, the data as the value."""
    ids: set[tuple[str, str]] = set()
    for message in messages(installation.bootstrap_servers, installation.prefix + topic):
        found, key, value = headers(message), message.key(), message.value()
        attributes = {name[3:]: text for name, text in found.items() if name.startswith("ce_")}
        assert found.keys() == {*(f"ce_{name}" for name in attributes), "content-type"}
        assert attributes["specversion"] == "1.0"
        assert all(attributes[name] for name in ("id", "source", "type"))
        assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in attributes)
        if "time" in attributes:
            assert datetime.fromisoformat(attributes["time"]).utcoffset() is not None
        assert found["content-type"] == "application/json"
        assert isinstance(value, bytes)
        assert len(value) + sum(len(n) + len(text.encode()) for n, text in found.items()) < (
            RECORD_BYTES
        )
        if "dataref" not in attributes:
            assert isinstance(json.loads(value), dict)
        assert isinstance(key, bytes)
        assert key.decode() == attributes["tenant"]
        ids.add((attributes["source"], attributes["id"]))
        if topic == "events":
            assert attributes["id"] == f"{attributes['tenant']}:{attributes['seq']}"
    assert ids
