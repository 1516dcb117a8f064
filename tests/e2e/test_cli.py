"""The command line, run as a process: every verb answers, and says what is wrong."""

import json
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from agent_orchestration import __version__
from agent_orchestration.app import REGISTRY
from agent_orchestration.cli import main
from agent_orchestration.cli.bundle import check_bundle, write_bundle
from agent_orchestration.cli.call import parse_arguments
from agent_orchestration.cli.tool_help import example, sample_arguments, tool_help
from agent_orchestration.core.errors import Rejected
from tests.e2e.program import PROGRAM, ROOT, answer, environment, run, server, started, wait_for

pytestmark = pytest.mark.process

VERBS = [
    "dev",
    "mcp",
    "call",
    "query",
    "agents list",
    "agents get",
    "tasks list",
    "tasks get",
    "events tail",
    "run",
    "rebuild",
    "doctor",
    "install claude-desktop",
    "schema show",
    "topology",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose `data` is owned by a server, with an agent and two tasks."""
    home = tmp_path_factory.mktemp("cli")
    data = str(home / "data")
    with server(home, "--tools", "all"):
        skills = 'capabilities=[{"name": "python", "level": 0.8}]'
        agent = ["id=ada", "name=Ada", "kind=llm", skills]
        answer(home, "call", "register_agent", *agent, "--data", data)
        needs = 'requires=[{"capability": "python", "level": 0.5}]'
        first = ["id=first", "title=First \N{SNOWMAN}", needs]
        answer(home, "call", "create_task", *first, "--data", data)
        second = ["id=second", "title=Second", 'depends_on=["first"]']
        answer(home, "call", "create_task", *second, "--data", data)
        yield home


@pytest.fixture
def data(folder: Path) -> tuple[str, str]:
    """The option that names the owned data folder."""
    return ("--data", str(folder / "data"))


# --- help ----------------------------------------------------------------------------------------


def test_version_names_program_and_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"agent-orchestration {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb.split(), "--help"]) == 0
    assert f"Example: agent-orchestration {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(REGISTRY.tools))
def test_every_tool_has_help_with_an_example_that_its_checks_accept(name: str) -> None:
    tool = REGISTRY.tools[name]
    text = tool_help(tool)
    assert all(f"\n  {argument}" in text for argument in tool.arguments.model_fields)
    assert f"agent-orchestration call {name}" in text
    tool.parse(sample_arguments(tool))
    words = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in sample_arguments(tool).items()
    ]
    assert parse_arguments(tool, words) == sample_arguments(tool)
    assert example(tool) in text


def test_help_and_version_do_not_load_the_platform(tmp_path: Path) -> None:
    script = (
        "import sys; from agent_orchestration.cli import main; main(['--help']);"
        "heavy = {'fastmcp', 'kglite', 'pydantic', 'httpx2', 'uvicorn'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
    )


# --- usage errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["clal"], "No such command 'clal'"),
        (["dev", "--prot", "1"], "No such option: --prot"),
        (["call", "creat_task"], "did you mean create_task?"),
        (["call", "create_task", "titel=x"], "did you mean title?"),
        (["call", "create_task", "title"], "'title' is not KEY=VALUE"),
        (["call", "create_task", "title=@absent.txt"], "absent.txt: No such file"),
        (["call", "create_task", "-"], "standard input is not JSON"),
        (["query", "RETURN 1 AS n", "x"], "'x' is not PARAM=VALUE"),
        (["agents", "get"], "Missing argument 'ID'"),
        (["tasks", "list", "--limit", "0"], "greater than or equal to 1"),
        (["dev", "--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines"),
    ],
)
def test_a_wrong_word_is_explained_in_one_line(
    words: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, *words, *(["--data", "d"] if words[0] == "call" else []))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "d").exists(), "nothing was opened"


def test_wrong_settings_are_explained_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("servr: {}\nserver: {port: many}")
    levels = "'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"
    canaries = {"LOG_LEVEL": "loud", "NEO4J_PASSWORD": "canary", "OPENAI_API_KEY": "canary"}
    for words in (["dev"], ["mcp"], ["tasks", "list"]):
        done = run(tmp_path, *words, more=canaries)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "error: server.port in config.yaml: 'many' is not a whole number; allowed: 0 to 65535",
            f"error: LOG_LEVEL: 'LOUD' is not allowed; use {levels}",
            "error: servr in config.yaml: is unknown; did you mean server?",
        ]
    assert not (tmp_path / ".agent-orchestration").exists()


def test_the_other_backend_is_refused_clearly(tmp_path: Path) -> None:
    variables = {"AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j", "NEO4J_PASSWORD": "canary"}
    done = run(tmp_path, "tasks", "list", "--json", more=variables)
    assert done.returncode == 3
    assert json.loads(done.stderr)["code"] == "backend_unavailable"
    assert "canary" not in done.stderr


# --- call ----------------------------------------------------------------------------------------


def test_call_without_a_tool_lists_them(tmp_path: Path) -> None:
    assert {row["tool"] for row in answer(tmp_path, "call")} == set(REGISTRY.tools)


def test_call_takes_text_json_files_and_standard_input(folder: Path, data: tuple[str, str]) -> None:
    (folder / "text.txt").write_text("from a file\nwith two lines")
    (folder / "payload.json").write_text('{"deep": [1, {"a": null}]}')
    words = [
        "title=5",
        "description=@text.txt",
        "payload=@payload.json",
        'labels={"team": "x"}',
        "priority=1",
        "-",
    ]
    made = answer(folder, "call", "create_task", *words, *data, stdin='{"id": "mixed"}')["task"]
    assert (made["id"], made["title"], made["priority"]) == ("mixed", "5", 1)
    assert made["description"] == "from a file\nwith two lines"
    assert made["payload"] == {"deep": [1, {"a": None}]}
    assert made["labels"] == ["team=x"]
    literal = answer(folder, "call", "create_task", "title=@@home", *data)["task"]
    assert literal["title"] == "@home"


def test_a_repeated_call_with_one_key_is_carried_out_once(
    folder: Path, data: tuple[str, str]
) -> None:
    words = ["call", "create_task", "title=once", "idempotency_key=k-1", *data]
    first, second = answer(folder, *words), answer(folder, *words)
    assert first["task"]["id"] == second["task"]["id"]
    changed = [word.replace("title=once", "title=twice") for word in words]
    done = run(folder, *changed)
    assert done.returncode == 4, done.stderr


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (["call", "create_task", "title=x", "priority=9"], 3, "rejected"),
        (["call", "create_task"], 3, "rejected"),
        (["call", "get_task", "task_id=absent"], 5, "not_found"),
        (["tasks", "get", "absent"], 5, "not_found"),
        (["agents", "get", "absent"], 5, "not_found"),
        (["tasks", "list", "--status", "done"], 3, "rejected"),
        (["query", "MATCH (n) DELETE n"], 3, "rejected"),
        (["query", "--name", "absent"], 3, "rejected"),
        (["events", "tail", "--task", "not an id"], 3, "rejected"),
    ],
)
def test_a_refusal_is_one_line_and_its_own_exit_code(
    folder: Path, data: tuple[str, str], words: list[str], code: int, kind: str
) -> None:
    done = run(folder, *words, *data, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert json.loads(done.stderr)["error"] == kind
    spoken = run(folder, *words, *data)
    assert spoken.returncode == code
    (line,) = spoken.stderr.splitlines()
    assert line.startswith("error: ")


def test_control_characters_of_others_do_not_reach_the_terminal(
    folder: Path, data: tuple[str, str]
) -> None:
    answer(folder, "call", "create_task", "id=bidi", "title=a\u202eb", *data)
    shown = run(folder, "tasks", "get", "bidi", *data).stdout
    assert "\u202e" not in shown
    assert "a\N{REPLACEMENT CHARACTER}b" in shown


# --- questions -----------------------------------------------------------------------------------


def test_query_answers_cypher_with_parameters(folder: Path, data: tuple[str, str]) -> None:
    cypher = "MATCH (t:Task) WHERE t.id = $id RETURN t.title AS title"
    found = answer(folder, "query", cypher, "id=second", *data)
    assert (found["columns"], found["rows"]) == (["title"], [{"title": "Second"}])
    spoken = run(folder, "query", cypher, "id=second", *data).stdout
    assert "Second" in spoken
    assert "1 row, at event" in spoken


def test_query_answers_prepared_questions(folder: Path, data: tuple[str, str]) -> None:
    names = {row["name"] for row in answer(folder, "query")}
    assert names == set(REGISTRY.queries)
    found = answer(folder, "query", "--name", "agents_by_status", *data)
    assert {"status": "idle", "agents": 1} in found["rows"]


def test_agents_and_tasks_are_listed_and_shown(folder: Path, data: tuple[str, str]) -> None:
    assert [agent["id"] for agent in answer(folder, "agents", "list", *data)] == ["ada"]
    assert answer(folder, "agents", "list", "--status", "offline", *data) == []
    assert answer(folder, "agents", "get", "ada", *data)["name"] == "Ada"
    listed = answer(folder, "tasks", "list", "--capability", "python", *data)
    assert [task["id"] for task in listed] == ["first"]
    assert len(answer(folder, "tasks", "list", "--limit", "1", *data)) == 1
    assert answer(folder, "tasks", "get", "second", *data)["status"] == "blocked"
    table = run(folder, "tasks", "list", *data).stdout
    assert "First \N{SNOWMAN}" in table
    assert "blocked" in table
    assert run(folder, "tasks", "list", "--status", "failed", *data).stdout == "none\n"
    assert "python 0.8" in run(folder, "agents", "list", *data).stdout


def test_events_are_shown_in_order(folder: Path, data: tuple[str, str]) -> None:
    done = run(folder, "events", "tail", "--after", "0", "--json", *data)
    seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))
    last = run(folder, "events", "tail", "-n", "2", *data).stdout.splitlines()
    assert [int(line.split()[0]) for line in last] == seqs[-2:]
    created = run(folder, "events", "tail", "--type", "TaskCreated", "--task", "first", *data)
    assert len(created.stdout.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_following_events_shows_new_ones_until_interrupted(
    folder: Path, data: tuple[str, str]
) -> None:
    words = ["events", "tail", "--follow", "-n", "1", "--json", *data]
    with started(folder, *words) as process:
        assert process.stdout is not None
        before = json.loads(process.stdout.readline())["seq"]
        answer(folder, "call", "create_task", "title=new", *data)
        assert json.loads(process.stdout.readline())["seq"] == before + 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGPIPE")
def test_a_reader_that_leaves_is_no_error(folder: Path, data: tuple[str, str]) -> None:
    words = ["events", "tail", "--follow", "--after", "0", *data]
    with started(folder, *words, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        answer(folder, "call", "create_task", "title=for nobody", *data)
        assert process.stderr.read() == ""
        assert process.wait(20) == 1


def test_schema_and_topology_are_shown(folder: Path, data: tuple[str, str]) -> None:
    schema = answer(folder, "schema", "show", *data)
    assert {"Agent", "Task", "Capability"} <= {node["label"] for node in schema["nodes"]}
    assert "HAS_CAPABILITY" in run(folder, "schema", "show", *data).stdout
    text = run(folder, "topology").stdout
    assert "commands" in text
    assert "events" in text
    assert answer(folder, "topology")["topology"].strip() == text.strip()


# --- operation -----------------------------------------------------------------------------------


def test_rebuild_compares_the_graphs(folder: Path, data: tuple[str, str]) -> None:
    result = answer(folder, "rebuild", *data)
    assert result["equal"]
    assert result["fingerprint_before"] == result["fingerprint_after"]
    assert "the graphs are equal" in run(folder, "rebuild", *data).stdout


def test_doctor_finds_everything_in_order(folder: Path, data: tuple[str, str]) -> None:
    found = answer(folder, "doctor", *data)
    assert found["ok"]
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert {"python", "settings", "data folder", "disk space", "owner", "port"} <= set(states)
    lines = run(folder, "doctor", *data).stdout.splitlines()
    assert all(line[:4].strip() in ("ok", "warn") for line in lines)


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


# --- servers -------------------------------------------------------------------------------------


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


async def test_mcp_speaks_only_the_protocol_and_joins(folder: Path, data: tuple[str, str]) -> None:
    transport = StdioTransport(
        PROGRAM[0],
        [*PROGRAM[1:], "mcp", *data, "--tools", "all"],
        env=environment(folder, {"LOG_LEVEL": "DEBUG"}),
        cwd=str(folder),
        keep_alive=False,
    )
    async with Client(transport) as client:
        assert {tool.name for tool in await client.list_tools()} == set(REGISTRY.tools)
        shown: Any = (await client.call_tool("get_task", {"task_id": "first"})).structured_content
        assert shown["task"]["title"] == "First \N{SNOWMAN}"


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


# --- Claude Desktop ------------------------------------------------------------------------------


def test_install_adds_an_entry_once_and_keeps_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Claude" / "claude_desktop_config.json"
    words = ["install", "claude-desktop", "--path", str(file), "--data", str(tmp_path / "d")]
    assert main(words) == 0
    entry = json.loads(file.read_text())["mcpServers"]["agent-orchestration"]
    assert entry["args"][-2:] == ["--data", str(tmp_path / "d")]
    other = {"theme": "dark", "mcpServers": {"other": {"command": "x"}}}
    file.write_text("\ufeff" + json.dumps(other), "utf-8")
    assert main(words) == 0
    assert json.loads(file.read_text("utf-8")) == {
        "theme": "dark",
        "mcpServers": {"other": {"command": "x"}, "agent-orchestration": entry},
    }
    (backup,) = file.parent.glob("*.bak")
    assert json.loads(backup.read_text("utf-8-sig")) == other
    capsys.readouterr()
    assert main(words) == 0
    assert "up to date" in capsys.readouterr().out
    assert len(list(file.parent.iterdir())) == 2
    assert main([*words, "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["mcpServers"]["agent-orchestration"] == entry


@pytest.mark.parametrize("content", ["{", "[]", '{"mcpServers": []}', "\x00"])
def test_install_leaves_settings_it_cannot_read_alone(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "claude_desktop_config.json"
    file.write_text(content)
    assert main(["install", "claude-desktop", "--path", str(file)]) == 3
    assert file.read_text() == content
    assert [found.name for found in tmp_path.iterdir()] == [file.name]
    assert "correct it" in capsys.readouterr().err


def test_what_is_installed_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "claude-desktop", "--print", "--data", str(tmp_path / "data")])
    entry = json.loads(capsys.readouterr().out)["mcpServers"]["agent-orchestration"]
    ended = subprocess.run(
        [entry["command"], *entry["args"]],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"")


def installed() -> bool:
    try:
        metadata.version("agent-orchestration")
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not installed(), reason="a bundle is made from an installed package")
def test_a_bundle_holds_the_package_and_serves(tmp_path: Path) -> None:
    target = tmp_path / "bundle" / "platform.mcpb"
    assert run(tmp_path, "install", "claude-desktop", "--bundle", str(target)).returncode == 0
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(target) as archive:
        archive.extractall(unpacked)
    project = tomllib.loads((unpacked / "pyproject.toml").read_text("utf-8"))["project"]
    assert any(line.startswith("fastmcp") for line in project["dependencies"])
    said = json.loads((unpacked / "manifest.json").read_text("utf-8"))
    assert (said["manifest_version"], said["server"]["type"]) == ("0.4", "uv")
    assert (unpacked / "agent_orchestration" / "domain" / "tasks" / "queries.cypher").exists()
    served = subprocess.run(
        [sys.executable, said["server"]["entry_point"]],
        cwd=unpacked,
        env=environment(tmp_path) | {"PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (served.returncode, served.stdout) == (0, b"")
    again = tmp_path / "again.mcpb"
    write_bundle(again)
    assert again.read_bytes() == target.read_bytes(), "the same version makes the same bundle"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"manifest_version": "0.3"}, "manifest_version"),
        ({"version": "one"}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"server": {"type": "uv", "entry_point": "absent.py"}}, "absent.py is missing"),
        ({"author": {}}, "author.name"),
    ],
)
def test_a_bundle_that_breaks_a_rule_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    sound = {
        "manifest_version": "0.4",
        "name": "x",
        "version": "1.0.0",
        "description": "x",
        "author": {"name": "x"},
        "server": {"type": "uv", "entry_point": "server.py"},
    }
    for content, problem in ((sound, None), (sound | change, says)):
        with zipfile.ZipFile(tmp_path / "x.mcpb", "w") as archive:
            archive.writestr("manifest.json", json.dumps(content))
            archive.writestr("pyproject.toml", "")
            archive.writestr("server.py", "")
        if problem is None:
            check_bundle(tmp_path / "x.mcpb")
        else:
            with pytest.raises(Rejected, match=problem):
                check_bundle(tmp_path / "x.mcpb")


def test_a_bundle_has_its_proper_name(tmp_path: Path) -> None:
    done = run(tmp_path, "install", "claude-desktop", "--bundle", "x.zip")
    assert done.returncode == 3
    assert "must end in .mcpb" in done.stderr
