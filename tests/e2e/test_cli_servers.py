"""Verbs that serve, and verbs on folders that nobody owns yet."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent_orchestration.app import REGISTRY
from tests.e2e.program import PROGRAM, ROOT, answer, environment, run, server, started, wait_for
from tests.listening import listening
from tests.tokens import ISSUER, SECRET, ec_key, public_pem, published, rsa_key

pytestmark = pytest.mark.process


def test_doctor_says_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run(tmp_path, "doctor", "--data", "file")
    assert done.returncode == 1
    assert "fail  data folder" in done.stdout
    (tmp_path / "config.yaml").write_text("backend: stone")
    done = run(tmp_path, "doctor")
    assert done.returncode == 1
    assert "fail  settings" in done.stdout


def test_doctor_opens_a_folder_that_nobody_owns(tmp_path: Path) -> None:
    assert answer(tmp_path, "doctor", "--data", "data")["ok"]
    assert not (tmp_path / "data").exists(), "looking makes nothing"
    answer(tmp_path, "call", "create_task", "title=x", "--data", "data")
    assert answer(tmp_path, "doctor", "--data", "data")["ok"]


def doctor_of(folder: Path, auth: str, **more: Any) -> tuple[int, dict[str, str]]:
    """The exit code with these settings, and what was found of them."""
    (folder / "config.yaml").write_text(f"auth: {{issuer: '{ISSUER}', audience: me, {auth}}}")
    done = run(folder, "doctor", "--data", "data", "--json", **more)
    [found] = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "auth"]
    return done.returncode, found


async def test_doctor_looks_for_the_keys_of_tokens(tmp_path: Path) -> None:
    keys = [published(rsa_key(0), "known"), published(ec_key(), "curve")]

    async def answer_keys(_request: Request) -> JSONResponse:
        return JSONResponse({"keys": keys})

    async with listening(Starlette(routes=[Route("/keys", answer_keys)])) as url:
        for path, left, code, detail in (
            ("/keys", 2, 0, f"tokens of {ISSUER}, 2 keys at {url}/keys"),
            ("/nothing", 2, 1, "gave no keys: Client error '404 Not Found'"),
            ("/keys", 0, 1, "gave no keys: "),
        ):
            del keys[left:]
            named = f"jwks_uri: '{url}{path}'"
            done, found = await asyncio.to_thread(doctor_of, tmp_path, named)
            assert (done, found["state"]) == (code, "fail" if code else "ok")
            assert detail in found["detail"]
            assert bool(found["remedy"]) == bool(code)
        keys.append(published(rsa_key(0), "known", use="enc"))
        done, found = await asyncio.to_thread(doctor_of, tmp_path, named)
        assert (done, found["state"]) == (1, "fail")
        assert "no key with a name (kid) for RS256 or ES256" in found["detail"]
    done, found = doctor_of(tmp_path, named)
    assert (done, found["state"]) == (1, "fail")
    assert "can be reached from here" in found["remedy"]


def test_doctor_says_which_key_of_the_settings_checks_tokens(tmp_path: Path) -> None:
    key = json.dumps(public_pem(rsa_key(0)))
    done, found = doctor_of(tmp_path, f"public_key: {key}")
    assert (done, found["detail"]) == (0, f"tokens of {ISSUER}, checked with auth.public_key")
    done, found = doctor_of(tmp_path, "", more={"JWT_SECRET_KEY": SECRET})
    assert (done, found["detail"]) == (0, f"tokens of {ISSUER}, checked with auth.jwt_secret")


def test_a_data_folder_that_cannot_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run(tmp_path, "tasks", "list", "--data", "file/data")
    assert done.returncode == 8
    assert "choose another with --data" in done.stderr


def test_run_refuses_what_is_no_workflow(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for file in ("bad.json", "absent.json"):
        done = run(tmp_path, "run", file, "--data", "data", "--json")
        assert done.returncode == 3, done.stderr
        assert json.loads(done.stderr)["error"] == "rejected"


def test_run_replays_a_workflow(tmp_path: Path) -> None:
    samples = (ROOT / "agent_orchestration" / "examples").glob("*.json")
    smallest = min(samples, key=lambda file: file.stat().st_size)
    words = ["run", str(smallest), "--speed", "1e6", "--agents", "3", "--data", "data"]
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "replay" in done.stdout
    counts = answer(tmp_path, "query", "--name", "tasks_by_status", "--data", "data")["rows"]
    assert [row["status"] for row in counts] == ["completed"]


def test_dev_serves_and_says_where(tmp_path: Path) -> None:
    with server(tmp_path) as (process, said):
        assert said["pid"] == process.pid
        assert said["mcp"] == f"{said['url']}/mcp"
        assert Path(said["data"]) == tmp_path / "data"
        with urllib.request.urlopen(f"{said['url']}/ready") as ready:
            assert json.load(ready)["ready"]
        process.terminate()
        process.wait(20)
    assert not (tmp_path / "data" / "owner.json").exists()


def test_dev_greets_a_person_with_what_to_try(tmp_path: Path) -> None:
    with started(tmp_path, "dev", "--port", "0", "--data", "data") as process:
        assert process.stdout is not None
        text = ""
        while "Ctrl-C" not in text:
            line = process.stdout.readline()
            assert line, f"ended with {process.wait()}"
            text += line
    assert "/mcp" in text
    assert "agent-orchestration call create_task" in text


def test_a_port_in_use_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "dev", "--port", port, "--data", "data")
    assert done.returncode == 3
    assert "in use" in done.stderr


def test_the_main_module_is_the_server_with_settings_from_the_environment(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = {"MCP_SERVER_PORT": str(port), "AGENT_ORCHESTRATION_DATA": str(tmp_path / "data")}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_orchestration.main", "--json"],
        cwd=tmp_path,
        env=environment(tmp_path, more),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"] == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as health:
            assert json.load(health)["status"] == "ok"
        process.kill()


async def test_mcp_speaks_only_the_protocol_and_joins(tmp_path: Path) -> None:
    transport = StdioTransport(
        PROGRAM[0],
        [*PROGRAM[1:], "mcp", "--data", "data", "--tools", "all"],
        env=environment(tmp_path, {"LOG_LEVEL": "DEBUG"}),
        cwd=str(tmp_path),
        keep_alive=False,
    )
    with server(tmp_path):
        words = ["id=first", "title=First \N{SNOWMAN}", "--data", "data"]
        answer(tmp_path, "call", "create_task", *words)
        async with Client(transport) as client:
            assert {tool.name for tool in await client.list_tools()} == set(REGISTRY.tools)
            shown: Any = await client.call_tool("get_task", {"task_id": "first"})
            assert shown.structured_content["task"]["title"] == "First \N{SNOWMAN}"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals for another process")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_mcp_ends_on_a_signal_though_its_client_stays(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    owner_file = tmp_path / "data" / "owner.json"
    words = ["mcp", "--data", "data"]
    with started(tmp_path, *words, stdin=subprocess.PIPE) as process:
        wait_for(owner_file.exists, "the process to own the folder")
        process.send_signal(sent)
        assert process.wait(20) == code
    assert not owner_file.exists()
