"""A server that asks who calls, and everybody who tells it: the command line, MCP clients over HTTP
and stdio, workers, and processes of the same owner."""

import contextlib
import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import MCPError

from agent_orchestration.app import REGISTRY
from tests.e2e.program import PATIENCE, PROGRAM, answer, environment, run, server, started, wait_for
from tests.e2e.server_process import ERAS, Refused, call
from tests.tokens import AUDIENCE, ISSUER, SECRET, bearer, claims, signed

pytestmark = pytest.mark.process

SETTINGS = f"auth: {{issuer: '{ISSUER}', audience: '{AUDIENCE}'}}\n"
ASKS = {"JWT_SECRET_KEY": SECRET}
GREETER = """
from agent_orchestration.workers import agent

@agent(capabilities=["greeting"])
async def greeter(name: str) -> str:
    return f"hello {name}"
"""


def token(**changes: Any) -> str:
    return signed(claims(**changes))


def told(**changes: Any) -> dict[str, str]:
    return {"AGENT_ORCHESTRATION_ACCESS_TOKEN": token(**changes)}


@contextlib.contextmanager
def asking(folder: Path) -> Generator[str]:
    """The address of a server that asks who calls; clients work in other folders."""
    place = folder / "server"
    place.mkdir()
    (place / "config.yaml").write_text(SETTINGS)
    with server(place, "--host", "0.0.0.0", "--tools", "all", more=ASKS) as (_, said):
        yield said["url"]


def test_the_command_line_says_who_calls(tmp_path: Path) -> None:
    with asking(tmp_path) as url:
        words = ["--server", url, "call"]
        unknown = run(tmp_path, *words, "get_overview")
        assert (unknown.returncode, "send a token" in unknown.stderr) == (10, True)
        old = run(tmp_path, *words, "get_overview", more=told(exp=int(time.time()) - 60))
        assert (old.returncode, "it has expired" in old.stderr) == (10, True)
        new = ["create_task", "title=x", "id=kept"]
        assert run(tmp_path, *words, *new, more=told()).returncode == 6
        answer(tmp_path, *words, *new, more=told(roles=["operator"]))
        shown = answer(tmp_path, *words, "get_task", "task_id=kept", more=told())
        assert shown["task"]["title"] == "x"
        elsewhere = told(tenant="globex")
        assert run(tmp_path, *words, "get_task", "task_id=kept", more=elsewhere).returncode == 5
        # Who owns the data folder joins the server with the folder's token.
        owned = ["call", "list_tasks", "--data", str(tmp_path / "server" / "data")]
        assert answer(tmp_path, *owned)["tasks"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_an_mcp_client_sends_its_token(tmp_path: Path, era: str) -> None:
    with asking(tmp_path) as url:
        headers = bearer(token(roles=["operator"]))
        transport = StreamableHttpTransport(f"{url}/mcp", headers=headers)
        async with Client(transport, mode=era, timeout=PATIENCE) as client:
            await call(client, "create_task", id="t", title="a task")
            assert (await call(client, "get_task", task_id="t"))["task"]["title"] == "a task"
            with pytest.raises(Refused, match="role: raise_rules needs the role admin"):
                await call(client, "raise_rules")
            allowed = {name for name, tool in REGISTRY.tools.items() if tool.allows("operator")}
            assert {tool.name for tool in await client.list_tools()} == allowed
        nobody = Client(StreamableHttpTransport(f"{url}/mcp"), mode=era, timeout=PATIENCE)
        with pytest.raises(MCPError, match="error response"):
            async with nobody:
                await nobody.list_tools()


@pytest.mark.parametrize("way", ["http", "mcp"])
def test_a_worker_acts_for_its_agent(tmp_path: Path, way: str) -> None:
    (tmp_path / "agents.py").write_text(GREETER)
    own = told(roles=["agent"], agent_id="greeter", sub="greeter")
    with asking(tmp_path) as url:
        words = ["worker", "--module", "agents.py"]
        words = ["--server", url, *words] if way == "http" else [*words, "--mcp", f"{url}/mcp"]
        unknown = run(tmp_path, *words, more=own)
        assert (unknown.returncode, "needs the role admin" in unknown.stderr) == (6, True)
        old = told(roles=["agent"], agent_id="greeter", exp=int(time.time()) - 60)
        late = run(tmp_path, *words, more=old)
        assert (late.returncode, "it has expired" in late.stderr) == (10, True)
        web = httpx2.Client(base_url=f"{url}/api/v1/tools/", headers=bearer(token(roles=["admin"])))
        skills = [{"name": "greeting"}]
        agent = {"id": "greeter", "name": "g", "kind": "function", "capabilities": skills}
        task = {"id": "t", "title": "t", "requires": [{"capability": "greeting"}]}
        with web:
            assert web.post("register_agent", json=agent).status_code == 200
            made = web.post("create_task", json=task | {"payload": {"name": "Ada"}})
            assert made.status_code == 200
            with started(tmp_path, *words, more=own):

                def shown() -> dict[str, Any]:
                    return web.post("get_task", json={"task_id": "t"}).json()["result"]["task"]

                wait_for(lambda: shown()["status"] == "completed", "the greeting")
                assert shown()["result"] == "hello Ada"


def stdio(folder: Path, more: dict[str, str]) -> StdioTransport:
    words = ["mcp", "--data", str(folder / "data"), "--tools", "all"]
    return StdioTransport(
        PROGRAM[0],
        [*PROGRAM[1:], *words],
        env=environment(folder, more),
        cwd=str(folder),
        keep_alive=False,
    )


async def test_over_stdio_the_environment_says_who_calls(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    async with Client(stdio(tmp_path, ASKS), timeout=PATIENCE) as client:
        await call(client, "create_task", id="t", title="the local operator's")
    operator = ASKS | told(roles=["operator"])
    async with Client(stdio(tmp_path, operator), timeout=PATIENCE) as client:
        with pytest.raises(Refused, match="unknown_task"):
            await call(client, "get_task", task_id="t")
        await call(client, "create_task", id="u", title="that of acme")
        with pytest.raises(Refused, match="role: "):
            await call(client, "raise_rules")
        shown = await call(client, "get_history")
        assert [one["actor"] for one in shown["events"]] == ["ada"]


def test_a_token_that_is_refused_serves_nobody_over_stdio(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    words = ["mcp", "--data", "data"]
    refused = run(tmp_path, *words, more=ASKS | told(aud="other"))
    assert (refused.returncode, refused.stdout) == (10, "")
    assert f"aud: it is not for {AUDIENCE}" in refused.stderr
    (tmp_path / "config.yaml").unlink()
    unchecked = run(tmp_path, *words, more=told())
    assert (unchecked.returncode, unchecked.stdout) == (3, "")
    assert "server.access_token: nobody can check it" in unchecked.stderr


def test_a_token_that_expires_ends_the_session(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    nearly = ASKS | told(exp=int(time.time()) - 15)
    words = ["mcp", "--data", "data"]
    with started(tmp_path, *words, more=nearly, stdin=-1, stderr=-1) as process:
        assert process.wait(PATIENCE) == 10
        assert process.stderr is not None
        assert "the token has expired" in process.stderr.read()


def test_settings_that_ask_without_a_key_start_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("auth: {issuer: me}")
    done = run(tmp_path, "dev", "--json")
    assert done.returncode == 2
    assert "JWT_SECRET_KEY" in json.dumps(json.loads(done.stderr)["problems"])
