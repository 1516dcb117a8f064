"""Processors and servers of one installation: any server answers anything, at once, while
processors come, go and stand by."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, wait_for
from tests.e2e.real.installation import HOST, TOKEN, Installation, Process, Server

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
PARTITIONS = 4
GROUP = "agent_event_processor"


class Client:
    """Calls tools at one server; for another tenant with the server's token."""

    def __init__(self, server: Server, tenant: str | None = None) -> None:
        headers = {}
        if tenant is not None:
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Tenant": tenant}
        self.http = httpx2.Client(
            base_url=server.url, headers=headers, timeout=PATIENCE, trust_env=False
        )

    def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The tool's answer, which must not be one that the graph had not caught up with."""
        answer = self.http.post(f"/api/v1/tools/{tool}", json=arguments)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        assert result.get("stale") is None, result
        return result


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    """Makes clients, each of which is closed after the test."""
    with ExitStack() as stack:

        def made(server: Server, tenant: str | None = None) -> Client:
            new = Client(server, tenant)
            stack.enter_context(new.http)
            return new

        yield made


@pytest.fixture(scope="module")
def processors(installation: Installation) -> list[Process]:
    return [installation.processor(f"processor-{number}") for number in (1, 2)]


@pytest.fixture(scope="module")
def servers(installation: Installation, processors: list[Process]) -> Iterator[list[Server]]:
    started = [installation.server(f"server-{number}") for number in (1, 2)]
    for process in (*processors, *started):
        wait_for(process.ready, f"{process.name} to be ready")
    yield started
    for process in (*processors, *started):
        assert "CRITICAL" not in process.log.read_text("utf-8")


def members(installation: Installation) -> Counter[int]:
    """How many partitions of `events` each process has, by process id."""
    told = json.loads(installation.program("consumer-groups", "describe", GROUP, "--json"))
    pids = {member["client"].rpartition("-")[2]: member for member in told["members"]}
    topic = f"{installation.prefix}events"
    return Counter(
        {int(pid): len(member["partitions"].get(topic, [])) for pid, member in pids.items()}
    )


def test_what_one_server_was_told_every_other_knows(
    servers: list[Server], client: Callable[..., Client]
) -> None:
    first, second = map(client, servers)
    for number in range(25):
        here, there = (first, second) if number % 2 else (second, first)
        made = here("create_task", title=f"Task {number}", id=f"told-{number}")
        shown = there("get_task", task_id=f"told-{number}")
        assert shown["task"] == made["task"]
        assert shown["seq"] >= made["seq"]
        there("cancel_task", task_id=f"told-{number}")
        assert here("get_task", task_id=f"told-{number}")["task"]["status"] == "cancelled"
        known = {task["id"] for task in here("list_tasks", status="cancelled", limit=200)["tasks"]}
        assert f"told-{number}" in known


def test_a_claim_that_waits_at_one_server_is_woken_through_the_other(
    servers: list[Server], client: Callable[..., Client]
) -> None:
    first, second = map(client, servers)
    skills = [{"name": "waking"}]
    first("register_agent", id="waiter", name="W", kind="llm", capabilities=skills)
    needs = [{"capability": "waking"}]
    with ThreadPoolExecutor(1) as pool:
        for number in range(5):
            claim = pool.submit(first, "claim_task", agent_id="waiter", wait_seconds=50)
            made = second("create_task", title="Wake up", requires=needs)["task"]
            claimed = claim.result(PATIENCE)
            assert claimed["task"]["id"] == made["id"], number
            held = {"agent_id": "waiter", "attempt": claimed["attempt"]}
            done = second("complete_task", task_id=made["id"], **held, result=number)
            assert done["task"]["status"] == "completed"


def test_tenants_in_all_partitions_are_answered_by_every_server(
    servers: list[Server], client: Callable[..., Client]
) -> None:
    for number in range(12):
        tenant = f"tenant-{number}"
        for server in servers:
            made = client(server, tenant)("create_task", title=tenant, id=server.name)
            assert made["task"]["status"] == "ready"
        known = {task["id"] for task in client(servers[0], tenant)("list_tasks")["tasks"]}
        assert known == {server.name for server in servers}


def test_who_has_the_token_is_believed_by_every_server(
    installation: Installation, servers: list[Server], client: Callable[..., Client]
) -> None:
    for server in servers:
        words = ("--server", server.url, "call", "create_task", "title=T", "--json")
        assert json.loads(installation.program(*words))["task"]["status"] == "ready"
        refused = installation.run(*words, AGENT_ORCHESTRATION_TOKEN="wrong-0123456789")
        assert refused.returncode != 0
        assert "the token is not this server's" in refused.stderr
        answer = client(server).http.get("/api/v1/tools", headers={"X-Tenant": "another"})
        assert (answer.status_code, answer.json()["code"]) == (403, "token_required")


def test_servers_answer_to_the_names_in_the_settings_only(
    servers: list[Server], client: Callable[..., Client]
) -> None:
    for server in servers:
        named = [client(server).http.get("/", headers={"Host": h}) for h in (HOST, "evil.example")]
        assert [answer.status_code for answer in named] == [200, 421]


def test_processors_that_come_and_go_fail_no_call(
    installation: Installation,
    processors: list[Process],
    servers: list[Server],
    client: Callable[..., Client],
) -> None:
    """All the time somebody works at both servers, for tenants in all partitions."""
    clients = [client(servers[number % 2], f"busy-{number}") for number in range(8)]
    going_on = True

    def work(call: Client) -> int:
        made = 0
        while going_on:
            made += 1
            call("create_task", title=f"Task {made}", id=f"task-{made}")
        return made

    with ThreadPoolExecutor(len(clients)) as pool:
        workers = [pool.submit(work, one) for one in clients]
        try:
            # More than there are partitions: one has none, and waits.
            new = [installation.processor(f"processor-{number}") for number in range(3, 6)]
            wait_for(lambda: shares(installation) == [0, 1, 1, 1, 1], "all to be members")
            having = members(installation)
            one = next(process for process in (*processors, *new) if having[process.pid])
            ended(one)
            wait_for(lambda: shares(installation) == [1, 1, 1, 1], "the last to step in")
            for process in new:
                if process.alive:
                    ended(process)
            wait_for(lambda: sum(shares(installation)) == PARTITIONS, "the others to take over")
            counts = [total(one) for one in clients]
            wait_for(
                lambda: all(total(one) > n for one, n in zip(clients, counts, strict=True)),
                "everybody to go on",
            )
        finally:
            going_on = False
        made = [worker.result(PATIENCE) for worker in workers]
        assert [total(one) for one in clients] == made


def ended(process: Process) -> None:
    """It gives up its partitions, and ends in order."""
    process.send(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def shares(installation: Installation) -> list[int]:
    return sorted(members(installation).values())


def total(client: Client) -> int:
    """How many tasks the tenant has."""
    rows = client("run_named_query", name="tasks_by_status")["rows"]
    return sum(row["tasks"] for row in rows)
