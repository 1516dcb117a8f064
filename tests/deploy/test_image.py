"""The images: what they start, as whom, and from what they are made."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent_orchestration.cli import main
from agent_orchestration.config import VARIABLES, load_config
from agent_orchestration.pipeline.topology import GROUP
from tests.deploy.files import (
    IMAGES,
    ROOT,
    admitted,
    dockerfile,
    environment,
    instructions,
    last,
    lineage,
    stages,
    words,
)
from tests.e2e.program import server

image = pytest.mark.parametrize("name", IMAGES)


def health(name: str) -> tuple[dict[str, str], list[str]]:
    """The options of an image's health check, and its command."""
    options, _, command = last(name, "HEALTHCHECK").partition("CMD ")
    return dict(re.findall(r"--([a-z-]+)=(\S+)", options)), words(command)


@image
def test_it_starts_a_verb_of_the_program_without_a_shell(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words(last(name, "ENTRYPOINT")) == ["agent-orchestration"]
    assert main([*words(last(name, "CMD")), "--help"]) == 0
    capsys.readouterr()


@image
def test_it_does_not_run_as_root(name: str) -> None:
    assert last(name, "USER") == "10001:10001"


@image
def test_its_settings_are_accepted(name: str) -> None:
    variables = environment(name)
    ours = {key: value for key, value in variables.items() if key in VARIABLES}
    config = load_config(environ={**ours, "NEO4J_PASSWORD": "only-for-tests"})
    assert (config.backend, config.data) == ("kafka-neo4j", Path("/data"))


@image
def test_nothing_in_it_is_a_secret(name: str) -> None:
    named = {key for key in environment(name) if re.search("KEY|PASSWORD|SECRET|TOKEN", key)}
    assert named == set()
    assert not [rest for kind, rest in lineage(name) if kind == "ARG"]


@image
def test_the_base_is_named_with_its_version(name: str) -> None:
    bases = {own[0][1].split()[0] for own in stages(name).values()} - set(stages(name))
    assert bases == {"python:3.11-slim-trixie"}


def test_both_are_the_same_but_for_what_they_start() -> None:
    own = {"event-processor": set[str](), "mcp-server": {"EXPOSE"}}
    common: set[str] = set()
    for name in IMAGES:
        assert list(stages(name)) == ["build", "platform", name]
        assert {kind for kind, _ in stages(name)[name]} == {
            "FROM",
            "HEALTHCHECK",
            "CMD",
            *own[name],
        }
        about, _, rest = dockerfile(name).read_text("utf-8").partition("\n\n")
        assert f"docker build -f dockerfiles/{name}.Dockerfile " in about
        common.add(rest.partition(f"FROM platform AS {name}")[0])
    assert len(common) == 1, "the stages that both have must be the same, line by line"


@pytest.mark.parametrize(("name", "retries"), [("event-processor", "3"), ("mcp-server", "5")])
def test_its_health_is_checked(name: str, retries: str) -> None:
    options, _ = health(name)
    assert options["interval"] == "30s"
    assert options["timeout"] == "10s"
    assert options["retries"] == retries


def test_the_processor_is_healthy_while_it_is_a_member_of_its_group(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, command = health("event-processor")
    assert command[:4] == ["agent-orchestration", "consumer-groups", "describe", GROUP]
    assert main([*command[1:], "--help"]) == 0
    capsys.readouterr()


@pytest.mark.process
def test_the_server_is_healthy_while_it_answers(tmp_path: Path) -> None:
    _, (python, *arguments) = health("mcp-server")
    assert python == "python"

    def check(port: int) -> int:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={"MCP_SERVER_PORT": str(port)},
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode

    with server(tmp_path) as (_, told):
        port = int(told["url"].rpartition(":")[2])
        assert check(port) == 0
    assert check(port) == 1


@image
def test_what_is_copied_is_there_and_not_kept_out(name: str) -> None:
    copies = [rest for kind, rest in stages(name)["build"] if kind == "COPY"]
    copied = {source for rest in copies for source in rest.split()[:-1]}
    assert copied == admitted()
    assert {source for source in copied if not (ROOT / source).exists()} == set()


@image
def test_only_the_build_stage_reads_the_tree(name: str) -> None:
    copies = [rest for kind, rest in lineage(name) if kind in {"COPY", "ADD"}]
    assert [rest.partition(" ")[0] for rest in copies] == ["--from=build"]


def test_continued_lines_are_one_instruction_and_comments_none() -> None:
    text = '# a\nFROM x AS y\nENV A=1 \\\n    B=2\n\nCMD ["z"]\n'
    assert list(instructions(text)) == [
        ("FROM", "x AS y"),
        ("ENV", "A=1      B=2"),
        ("CMD", '["z"]'),
    ]
