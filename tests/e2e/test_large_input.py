"""Large, deep and unusual input that is fine, and where it ends."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from tests.e2e.bad_values import nested
from tests.e2e.server_process import (
    ERAS,
    Server,
    call,
    checked_log,
    post,
    running,
    stdio_client,
)

pytestmark = pytest.mark.process

MIB = 1024 * 1024
#: Each a little over 9 MiB of JSON: long text, and many small things full of quotes.
LARGE: dict[str, Any] = {
    "text": "x" * (9 * MIB),
    "quotes": ["a"] * (9 * MIB // 4),
    "objects": [{"key": "v"}] * (9 * MIB // 12),
    "not ASCII": "\u20ac" * (3 * MIB),
}
NAMES = [
    "\u041b\u0435\u0432 \u0422\u043e\u043b\u0441\u0442\u043e\u0439",
    "\u5b54\u592b\u5b50",
    "\u0639\u0645\u0631 \u0627\u0644\u062e\u064a\u0627\u0645",
    "\U0001f469\u200d\U0001f680 \U0001f1fa\U0001f1f3",
    "e\u0301 \u0928\u092e\u0938\u094d\u0924\u0947",
    "<script>alert('1')</script>",
    "'; MATCH (n) DETACH DELETE n //",
    "{{7*7}} ${HOME} %s \\u0041",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("large")) as started:
        yield started
        with started.http() as http:
            assert http.get("/ready").json()["ready"]
        checked_log(started.folder)


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", LARGE)
def test_nine_megabytes_are_kept_as_a_blob_and_can_be_read(server: Server, kind: str) -> None:
    with server.http() as http:
        body = compact({"title": kind, "payload": LARGE[kind]})
        assert 9 * MIB < len(body) < 10 * MIB
        status, answer = post(http, "create_task", body)
        assert status == 200, answer
        shown = answer["result"]["task"]["payload"]
        assert set(shown) == {"$blob", "bytes"}
        blob = http.get(f"/api/v1/blobs/{shown['$blob']}").content
        assert len(blob) == shown["bytes"]
        assert json.loads(blob) == LARGE[kind]


@pytest.mark.parametrize("era", ERAS)
async def test_over_mcp_every_json_field_takes_nine_megabytes(server: Server, era: str) -> None:
    large = LARGE["quotes"]
    agent, task = f"large-{era}", f"task-{era}"
    async with server.mcp(era) as client:
        skills = [{"name": agent}]
        await call(client, "register_agent", id=agent, name="A", kind="llm", capabilities=skills)
        needs = [{"capability": agent}]
        made = await call(client, "create_task", id=task, title="T", requires=needs, payload=large)
        held = {"task_id": task, "agent_id": agent, "attempt": 1}
        await call(client, "assign_task", task_id=task, agent_id=agent)
        await call(client, "start_task", **held)
        reported = await call(client, "report_progress", **held, progress=large)
        done = await call(client, "complete_task", **held, result=large)
        blobs = (made["task"]["payload"], reported["task"]["progress"], done["task"]["result"])
        assert len({blob["$blob"] for blob in blobs}) == 1, "the same content is kept once"
        [content] = await client.read_resource(f"blob://{blobs[0]['$blob']}")
        assert isinstance(content, TextResourceContents)
        assert json.loads(content.text) == large


async def test_a_process_that_joined_passes_nine_megabytes_on(server: Server) -> None:
    """Many small numbers: any space added between them would make it too large."""
    large = [1] * (9 * MIB // 2)
    async with stdio_client(server.folder) as client:
        made = await call(client, "create_task", title="T", payload=large)
        [content] = await client.read_resource(f"blob://{made['task']['payload']['$blob']}")
        assert isinstance(content, TextResourceContents)
        assert json.loads(content.text) == large


@pytest.mark.parametrize("era", ERAS)
async def test_eleven_megabytes_are_refused(server: Server, era: str) -> None:
    large = {"id": "too-large", "title": "T", "payload": "x" * (11 * MIB)}
    with server.http() as http:
        status, answer = post(http, "create_task", compact(large))
        assert (status, answer["code"]) == (413, "body_too_large")
        assert "send less" in answer["reason"]
        async with server.mcp(era) as client:
            with pytest.raises(MCPError):
                await call(client, "create_task", **large)
        assert post(http, "get_task", {"task_id": "too-large"})[0] == 404


@pytest.mark.parametrize("size", [65_530, 65_535, 65_536, 65_537, 200_000])
def test_there_is_no_gap_between_inline_and_blob(server: Server, size: int) -> None:
    """Around the threshold, in bytes and in characters of three bytes."""
    with server.http() as http:
        for text in ("x" * (size - 2), "\u20ac" * (size // 3)):
            body = compact({"title": "T", "payload": text})
            status, answer = post(http, "create_task", body)
            assert status == 200, answer
            shown = answer["result"]["task"]["payload"]
            if isinstance(shown, dict):
                shown = http.get(f"/api/v1/blobs/{shown['$blob']}").json()
            assert shown == text


@pytest.mark.parametrize("era", ERAS)
async def test_any_json_within_the_limits_comes_back_as_it_was(server: Server, era: str) -> None:
    values: list[Any] = [
        *(nested(100), {"a": [1, "two", None, {"b": [[], {}]}]}, [1, "a", 2.5, None, True]),
        *(2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324, -0.0, "", " ", False, 0, [], {}),
        *("a\x00b\x1f\x7f", "\u2028\ufeff\ud7ff\U0010ffff", {"": {"\x00": 1}}, {"id": "a/b"}),
        *("[1, 2]", {"$ref": "x", "nested": {"$blob": "x"}}, *NAMES),
    ]
    async with server.mcp(era) as client:
        for value in values:
            made = await call(client, "create_task", title="T", payload=value)
            shown = await call(client, "get_task", task_id=made["task"]["id"])
            assert shown["task"]["payload"] == value
            assert repr(shown["task"]["payload"]) == repr(value), "types and signs too"


@pytest.mark.parametrize("era", ERAS)
async def test_names_in_any_script_are_kept_as_they_are(server: Server, era: str) -> None:
    async with server.mcp(era) as client:
        for name in NAMES:
            labels = {"name": name}
            made = await call(client, "create_task", title=name, description=name, labels=labels)
            shown = (await call(client, "get_task", task_id=made["task"]["id"]))["task"]
            assert (shown["title"], shown["description"]) == (name, name)
            assert shown["labels"] == [f"name={name}"]
            listed = await call(client, "list_tasks", label=f"name={name}", limit=200)
            assert made["task"]["id"] in {task["id"] for task in listed["tasks"]}
    with server.http() as http:
        assert "<script>" not in http.get("/").text


@pytest.mark.parametrize("era", ERAS)
async def test_lists_and_objects_sent_as_json_text_are_understood(server: Server, era: str) -> None:
    async with server.mcp(era) as client:
        base = (await call(client, "create_task", title="base"))["task"]["id"]
        made = await call(
            client,
            "create_task",
            title="T",
            requires='[{"capability": "python", "level": 0.5}]',
            depends_on=json.dumps([base]),
            labels='{"a": "b"}',
            retry='{"max_attempts": 3}',
        )
        task = made["task"]
        assert task["requires"] == [{"capability": "python", "level": 0.5}]
        assert [one["task_id"] for one in task["depends_on"]] == [base]
        assert (task["labels"], task["max_attempts"]) == (["a=b"], 3)
        waited = await call(client, "wait_for_tasks", ids=json.dumps([base, base]), seconds=0)
        assert [task["id"] for task in waited["tasks"]] == [base]


def test_ids_that_look_like_others_do_not_meet(server: Server) -> None:
    """An agent, a task and a capability of one name; ids like those of events and tenants."""
    with server.http() as http:
        for name in ("1", "default", "acme", "true", "null", "task-1:x", "a..b", "x" * 128):
            skills = [{"name": name}]
            agent = {"id": name, "name": "A", "kind": "llm", "capabilities": skills}
            assert post(http, "register_agent", agent)[0] == 200
            task = {"id": name, "title": "T", "requires": [{"capability": name}]}
            assert post(http, "create_task", task)[0] == 200
            assert post(http, "assign_task", {"task_id": name, "agent_id": name})[0] == 200
            held = {"task_id": name, "agent_id": name, "attempt": 1}
            assert post(http, "start_task", held)[0] == 200
            assert post(http, "complete_task", {**held, "result": name})[0] == 200
            _, history = post(http, "get_history", {"task_id": name})
            types = [event["type"] for event in history["result"]["events"]]
            assert types == ["TaskCreated", "TaskAssigned", "TaskStarted", "TaskCompleted"]
