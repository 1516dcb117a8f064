"""Processors of two versions in one group."""

import json
import sys
from collections.abc import Iterator

import httpx2
import pytest

from agent_orchestration.core.folding import RULES
from tests.e2e.program import PATIENCE, wait_for
from tests.e2e.real.installation import TOKEN, Installation, Process, Server
from tests.integration.world import tenant_on

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
OLDER = [
    sys.executable,
    "-c",
    """
from agent_orchestration.core import folding
folding.RULES -= 1
from agent_orchestration.cli import main
main()
""",
]


@pytest.fixture(scope="module")
def older(installation: Installation) -> Process:
    return installation.processor("older", OLDER)


@pytest.fixture(scope="module")
def server(installation: Installation, older: Process) -> Server:
    started = installation.server("server")
    for process in (older, started):
        wait_for(process.ready, f"{process.name} to be ready")
    return started


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    """For a tenant on the first partition, which the client id of the older one comes first for."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant": tenant_on(0)}
    with httpx2.Client(
        base_url=server.url, headers=headers, timeout=PATIENCE, trust_env=False
    ) as client:
        yield client


def members(installation: Installation) -> list[str]:
    """The processors that have partitions, by client id."""
    told = json.loads(
        installation.program("consumer-groups", "describe", "agent_event_processor", "--json")
    )
    return sorted(member["client"] for member in told["members"] if member["partitions"])


def test_an_older_processor_keeps_the_rules_down_and_makes_room_for_those_who_know_more(
    installation: Installation, older: Process, http: httpx2.Client
) -> None:
    def call(tool: str, **arguments: str) -> httpx2.Response:
        return http.post(f"/api/v1/tools/{tool}", json=arguments)

    assert call("create_task", title="Begun with the older rules", id="first").status_code == 200
    assert call("get_overview").json()["result"]["rules"] == RULES - 1
    newer = installation.processor("newer")
    wait_for(newer.ready, "the newer processor to be ready")
    refused = call("raise_rules")
    assert (refused.status_code, refused.json()["code"]) == (422, "older_programs")

    # Once the older one has gone they may be raised.
    older.kill()
    wait_for(lambda: len(members(installation)) == 1, "the older to be gone")
    assert call("raise_rules").json()["result"]["rules"] == RULES

    # It comes back, is given its partitions, and finds that it knows too little for one of them.
    older.start()
    wait_for(lambda: len(members(installation)) == 2, "the older to be back")
    made = call("create_task", title="Goes on", id="then")
    assert made.status_code == 200, made.text
    assert f"this program knows {RULES - 1}: upgrade it" in older.log.read_text("utf-8")
    wait_for(lambda: len(members(installation)) == 1, "the older to leave")
    assert older.alive
    assert call("get_task", task_id="first").json()["result"]["task"]["status"] == "ready"
