"""Help, and what the command line says about words that it does not understand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent_orchestration import __version__
from agent_orchestration.app import REGISTRY
from agent_orchestration.cli import main
from agent_orchestration.cli.call import parse_arguments
from agent_orchestration.cli.tool_help import example, sample_arguments, tool_help
from tests.e2e.program import environment, run

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
    "verify",
    "archive",
    "backup create",
    "backup list",
    "restore",
    "redrive list",
    "redrive tenant",
    "redrive letter",
    "redrive give-up",
    "rules show",
    "rules raise",
    "users add",
    "users list",
    "users set-roles",
    "users password",
    "users disable",
    "users enable",
    "doctor",
    "slo",
    "install claude-desktop",
    "schema show",
    "schema migrate",
    "schema current",
    "schema downgrade",
    "topology",
    "topics create",
    "topics describe",
    "topics export",
    "topics import",
    "consumer-groups list",
    "consumer-groups describe",
    "consumer-groups reset",
    "copy-log",
    "stand-in-model",
]


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
        (["slo", "--window", "5m"], "--window: needs --prometheus"),
        (["slo", "--prometheus", "here:9090"], "'here:9090' is no address"),
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


def test_servers_that_do_not_answer_are_named(tmp_path: Path) -> None:
    variables = {
        "AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "NEO4J_PASSWORD": "canary",
    }
    done = run(tmp_path, "tasks", "list", "--json", more=variables)
    assert done.returncode == 8
    answer = json.loads(done.stderr)
    assert answer["error"] == "unavailable"
    assert "127.0.0.1:1" in answer["reason"]
    assert "canary" not in done.stderr
