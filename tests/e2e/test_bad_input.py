"""Hostile input through every door: a typed error that names the field and says what to change."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client

from agent_orchestration.app import REGISTRY
from tests.e2e.bad_values import HELD, VALID, bad_calls
from tests.e2e.check_log import read_topic
from tests.e2e.server_process import Refused, Server, call, checked_log, post, running

pytestmark = pytest.mark.process

MUTATING = sorted(tool.name for tool in REGISTRY.tools.values() if not tool.read_only)
MODERN = "2026-07-28"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an agent at work and one without, and a task in each of several statuses."""
    with running(tmp_path_factory.mktemp("bad")) as started, started.http() as http:
        for tool, arguments in PREPARATION:
            status, answer = post(http, tool, arguments)
            assert status == 200, answer
        yield started
        assert http.get("/ready").json()["ready"]
        checked_log(started.folder)


CALL = {**HELD, "model": "m", "amount_micros": 100}
TEMPLATE = VALID["define_template"]
SAY = VALID["send_message"]
CONVERSATION = "conversation_id"
DRAFT: dict[str, Any] = {"text": "?", "kind": "question", "data": {"draft": {}}}
SKILL = [{"name": "python", "level": 0.5}]
PREPARATION: list[tuple[str, dict[str, Any]]] = [
    *(
        ("register_agent", {"id": name, "name": name, "kind": "llm", "capabilities": SKILL})
        for name in ("busy", "idle", "draining", "retired", "patient")
    ),
    ("register_agent", {"id": "unskilled", "name": "U", "kind": "llm", "capabilities": []}),
    *(
        ("create_task", {"id": name, "title": name, "requires": [{"capability": "python"}]})
        for name in ("running", "ready", "assigned", "completed", "cancelled")
    ),
    ("assign_task", {"task_id": "running", "agent_id": "busy"}),
    ("start_task", HELD),
    ("reserve_spend", {**CALL, "id": "call", "amount_micros": 1}),
    ("set_budget", {"limit_micros": 99, "task_id": "running"}),
    ("assign_task", {"task_id": "completed", "agent_id": "patient"}),
    ("start_task", {"task_id": "completed", "agent_id": "patient", "attempt": 1}),
    ("complete_task", {"task_id": "completed", "agent_id": "patient", "attempt": 1}),
    ("assign_task", {"task_id": "assigned", "agent_id": "patient"}),
    ("cancel_task", {"task_id": "cancelled"}),
    ("drain_agent", {"agent_id": "draining"}),
    ("retire_agent", {"agent_id": "retired"}),
    ("form_team", {"id": "crew", "goal": "G", "members": [{"agent_id": "patient"}]}),
    ("form_team", {"id": "gone", "goal": "G", "members": [{"agent_id": "patient"}]}),
    ("disband_team", {"team_id": "gone"}),
    ("create_task", {"id": "ours", "title": "T", "team_id": "crew", "priority": 5}),
    ("define_template", {"name": "writer", "kind": "llm", "capabilities": [], "version": 2}),
    ("submit_plan", {"id": "plan", "title": "P", "team_id": "crew", "tasks": [{"id": "a"}]}),
    ("open_conversation", {"id": "talk", "topic": "T", "text": "Hello"}),
    ("open_conversation", {"id": "ours", "topic": "T", "team_id": "crew"}),
    ("open_conversation", {"id": "over", "topic": "T"}),
    ("close_conversation", {"conversation_id": "over"}),
    ("open_conversation", {"id": "drafted", "topic": "T"}),
    ("send_message", {"conversation_id": "drafted", **DRAFT}),
]


def problem_with(error: dict[str, Any], blamed: str) -> str:
    """Why the error does not help its reader, or nothing."""
    if error.get("error") not in ("rejected", "not_found", "conflict"):
        return f"is {error.get('error')}"
    if str(error.get("field", "?")).partition(".")[0] != blamed:
        return f"blames {error.get('field')}"
    reason = error["reason"]
    if not reason.startswith(blamed) or len(reason) < len(blamed) + 8:
        return f"says {reason!r}"
    leaked = ("Traceback", "pydantic", "msgspec", "function-", "[type=", "Argument")
    return next((f"leaks {word}" for word in leaked if word in json.dumps(error)), "")


# --- every argument of every tool ----------------------------------------------------------------


def test_there_is_a_valid_call_for_every_tool_that_changes_something() -> None:
    assert sorted(VALID) == MUTATING
    for name, arguments in VALID.items():
        REGISTRY.tools[name].parse(arguments)


@pytest.mark.parametrize("name", MUTATING)
def test_over_http_bad_values_are_refused_by_name_and_change_nothing(
    server: Server, name: str
) -> None:
    wrong: list[Any] = []
    with server.http() as http:
        before = post(http, "get_overview", {})
        for blamed, arguments in bad_calls(REGISTRY.tools[name]):
            status, answer = post(http, name, arguments)
            problem = f"is accepted with {status}" if status < 400 else problem_with(answer, blamed)
            if problem:
                wrong.append((problem, str(arguments)[:200]))
        assert wrong == []
        assert post(http, "get_overview", {}) == before


@pytest.mark.parametrize("name", MUTATING)
async def test_over_mcp_bad_values_are_refused_by_name_and_change_nothing(
    server: Server, name: str
) -> None:
    wrong: list[Any] = []
    async with server.mcp(MODERN) as client:
        before = await call(client, "get_overview")
        for blamed, arguments in bad_calls(REGISTRY.tools[name]):
            problem = await mcp_problem(client, name, arguments, blamed)
            if problem:
                wrong.append((problem, str(arguments)[:200]))
        assert wrong == []
        assert await call(client, "get_overview") == before


async def mcp_problem(client: Client[Any], tool: str, arguments: Any, blamed: str) -> str:
    try:
        await call(client, tool, **arguments)
    except Refused as refused:
        told = f"{refused.data['code']}: {' '.join(refused.data['reason'].split())}"
        return problem_with(refused.data, blamed) or ("" if refused.line == told else refused.line)
    return "is accepted"


# --- the state of things -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "field"),
    [
        ("assign_task", {"task_id": "absent", "agent_id": "idle"}, "unknown_task", "task_id"),
        ("assign_task", {"task_id": "ready", "agent_id": "absent"}, "unknown_agent", "agent_id"),
        ("assign_task", {"task_id": "ready", "agent_id": "unskilled"}, "not_capable", "agent_id"),
        ("assign_task", {"task_id": "ready", "agent_id": "busy"}, "at_capacity", "agent_id"),
        ("assign_task", {"task_id": "ready", "agent_id": "draining"}, "agent_draining", "agent_id"),
        ("assign_task", {"task_id": "running", "agent_id": "idle"}, "wrong_status", "task_id"),
        ("cancel_task", {"task_id": "completed"}, "wrong_status", "task_id"),
        ("reserve_spend", {**CALL, "id": "call"}, "already_exists", "id"),
        ("reserve_spend", {**CALL, "id": "next"}, "budget_exceeded", "amount_micros"),
        ("release_spend", {"spend_id": "call", "agent_id": "idle"}, "not_your_spend", "agent_id"),
        ("set_budget", {"limit_micros": 5, "team_id": "absent"}, "unknown_team", "team_id"),
        ("cancel_task", {"task_id": "default"}, "unknown_task", "task_id"),
        ("claim_task", {"agent_id": "absent"}, "unknown_agent", "agent_id"),
        ("claim_task", {"agent_id": "retired", "wait_seconds": 50}, "agent_retired", "agent_id"),
        ("claim_task", {"agent_id": "draining"}, "agent_draining", "agent_id"),
        ("start_task", {**HELD, "task_id": "ready"}, "fenced", "attempt"),
        ("start_task", {**HELD, "attempt": 2}, "fenced", "attempt"),
        ("start_task", {**HELD, "agent_id": "idle"}, "fenced", "attempt"),
        ("start_task", {**HELD, "task_id": "cancelled"}, "wrong_status", "task_id"),
        ("report_progress", {**HELD, "attempt": 7, "progress": 1}, "fenced", "attempt"),
        ("complete_task", {**HELD, "task_id": "absent"}, "unknown_task", "task_id"),
        ("complete_task", {**HELD, "agent_id": "absent"}, "fenced", "attempt"),
        ("complete_task", {**HELD, "task_id": "completed"}, "wrong_status", "task_id"),
        (
            "complete_task",
            {"task_id": "assigned", "agent_id": "patient", "attempt": 1},
            "not_started",
            "task_id",
        ),
        ("fail_task", {**HELD, "attempt": 2, "error": "x"}, "fenced", "attempt"),
        ("heartbeat", {"agent_id": "retired"}, "agent_retired", "agent_id"),
        ("update_agent", {"agent_id": "retired", "name": "x"}, "agent_retired", "agent_id"),
        ("retire_agent", {"agent_id": "busy"}, "agent_has_work", "agent_id"),
        ("register_agent", {**VALID["register_agent"], "id": "idle"}, "already_exists", "id"),
        ("create_task", {"id": "ready", "title": "x"}, "already_exists", "id"),
        ("create_task", {"id": "a", "title": "x", "depends_on": ["a"]}, "cycle", "depends_on"),
        ("create_task", {"title": "x", "team_id": "absent"}, "unknown_team", "team_id"),
        ("create_task", {"title": "x", "team_id": "gone"}, "team_disbanded", "team_id"),
        ("assign_task", {"task_id": "ours", "agent_id": "idle"}, "not_a_member", "agent_id"),
        ("assign_task", {"task_id": "plan", "agent_id": "patient"}, "wrong_status", "task_id"),
        ("complete_task", {**HELD, "task_id": "plan"}, "fenced", "attempt"),
        ("form_team", {"id": "crew", "goal": "x"}, "already_exists", "id"),
        ("form_team", {"goal": "x", "min_size": 9}, "too_few_agents", "min_size"),
        ("form_team", {"goal": "x", "requires": [{"capability": "x"}]}, "uncovered", "requires"),
        ("update_team", {"team_id": "absent", "goal": "x"}, "unknown_team", "team_id"),
        ("update_team", {"team_id": "gone", "goal": "x"}, "team_disbanded", "team_id"),
        ("disband_team", {"team_id": "crew"}, "team_has_work", "team_id"),
        ("define_template", {**TEMPLATE, "version": 1}, "version_exists", "version"),
        ("instantiate_agent", {"template": "absent"}, "unknown_template", "template"),
        ("instantiate_agent", {"template": "writer", "id": "idle"}, "already_exists", "id"),
        ("open_conversation", {"id": "talk", "topic": "T", "text": "x"}, "already_exists", "id"),
        ("open_conversation", {"topic": "T", "to": "idle"}, "invalid_argument", "text"),
        ("open_conversation", {"topic": "T", "team_id": "gone"}, "team_disbanded", "team_id"),
        ("send_message", {**SAY, "conversation_id": "over"}, "conversation_closed", CONVERSATION),
        (
            "send_message",
            {**SAY, "conversation_id": "absent"},
            "unknown_conversation",
            CONVERSATION,
        ),
        ("send_message", {**SAY, "agent_id": "retired"}, "agent_retired", "agent_id"),
        ("send_message", {**SAY, "conversation_id": "ours", "to": "idle"}, "not_a_member", "to"),
        ("send_message", {**SAY, "reply_to": 2}, "unknown_message", "reply_to"),
        ("close_conversation", {"conversation_id": "absent"}, "unknown_conversation", CONVERSATION),
        ("submit_plan", {**VALID["submit_plan"], "id": "plan"}, "already_exists", "id"),
        ("submit_plan", {**VALID["submit_plan"], "team_id": "gone"}, "team_disbanded", "team_id"),
        (
            "submit_plan",
            {"title": "x", "tasks": [{"id": "a", "depends_on": ["cancelled"]}]},
            "dependency_failed",
            "tasks",
        ),
        (
            "create_task",
            {"title": "x", "depends_on": [{"task_id": "cancelled", "on_failure": "cancel"}]},
            "dependency_failed",
            "depends_on",
        ),
    ],
)
async def test_what_the_state_forbids_is_refused_and_the_refusal_kept(
    server: Server, tool: str, arguments: dict[str, Any], code: str, field: str
) -> None:
    with server.http() as http:
        before = post(http, "get_overview", {})
        status, answer = post(http, tool, arguments)
        assert (status in (404, 422), answer["code"]) == (True, code)
        assert problem_with(answer, field) == ""
        async with server.mcp(MODERN) as client:
            assert await mcp_problem(client, tool, arguments, field) == ""
        assert post(http, "get_overview", {}) == before
    kept = [json.loads(record.value) for record in topic(server.folder, "system_events")]
    assert [rejection["code"] for rejection in kept[-2:]] == [code, code]


def topic(folder: Path, name: str) -> list[Any]:
    uri = f"{(folder / 'data' / 'log.sqlite').as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return sorted(read_topic(db, name), key=lambda record: record.timestamp)


# --- bytes ---------------------------------------------------------------------------------------


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


#: What no JSON client sends: the value of `payload`, and whether it is JSON to everybody.
RAW: dict[str, bytes] = {
    "1,000 levels": deep(1000),
    "100,000 levels": deep(100_000),
    "100,000 levels, unclosed": b"[" * 100_000,
    "objects 1,000 deep": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "not a number": b"NaN",
    "infinite": b"-Infinity",
    "too large a number": b"1e400",
    "5,000 digits": b"9" * 5000,
    "2**63": b"9223372036854775808",
    "a lone surrogate": b'"\\ud800"',
    "a lone surrogate in a name": b'{"\\udfff": 1}',
    "not UTF-8": b'"\xff\xfe"',
    "a control character": b'"\x01"',
    "NUL": b"\x00",
    "nothing": b"",
    "cut off": b'{"a": [1, 2',
    "two values": b"1, 2",
}


@pytest.mark.parametrize("raw", RAW.values(), ids=list(RAW))
def test_bytes_that_are_no_usable_json_are_refused_at_every_door(
    server: Server, raw: bytes
) -> None:
    arguments = b'{"id": "raw", "title": "T", "payload": ' + raw + b"}"
    with server.http() as http:
        status, answer = post(http, "create_task", arguments)
        assert status in (400, 422), answer
        assert answer["field"] in ("body", "payload")
        for headers, meta in (
            ({"MCP-Protocol-Version": "2025-11-25"}, {}),
            ({"MCP-Protocol-Version": MODERN}, ENVELOPE),
        ):
            refused = raw_call(http, arguments, headers, meta)
            assert refused.get("isError", "code" in refused), refused
            assert "Traceback" not in json.dumps(refused)
        assert post(http, "get_task", {"task_id": "raw"})[0] == 404


ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def raw_call(
    http: httpx2.Client, arguments: bytes, headers: dict[str, str], meta: dict[str, Any]
) -> dict[str, Any]:
    """The result or the error of `create_task` with these bytes as its arguments."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "create_task", "arguments": "ARGUMENTS", "_meta": meta},
        }
    )
    more = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    names = {"Mcp-Method": "tools/call", "Mcp-Name": "create_task"} if meta else {}
    response = http.post(
        "/mcp",
        content=body.encode().replace(b'"ARGUMENTS"', arguments),
        headers={**more, **headers, **names},
    )
    answer = response.json()
    return answer.get("result") or answer["error"]
