"""`.env.example`: every variable is one of the platform's, and as it is it can be used."""

import shutil
import subprocess

import pytest

from agent_orchestration.config import CONFIG_VARIABLE, VARIABLES, Config, load_config
from tests.deploy.files import EXAMPLE, ROOT, example, named_variables

SECRETS = {
    "NEO4J_PASSWORD",
    "OPENAI_API_KEY",
    "KAFKA_PASSWORD",
    "AGENT_ORCHESTRATION_TOKEN",
    "AGENT_ORCHESTRATION_ACCESS_TOKEN",
    "JWT_SECRET_KEY",
}


def test_it_has_every_variable_and_no_other() -> None:
    assert set(example(commented=True)) == {*VARIABLES, CONFIG_VARIABLE}


def test_it_has_what_the_compose_file_asks_for() -> None:
    assert named_variables() <= set(example(commented=False))


def test_it_holds_no_secret() -> None:
    found = example(commented=True)
    assert {found[name] for name in SECRETS} == {""}


def test_with_a_password_its_settings_are_those_of_the_development_stack() -> None:
    config = load_config(environ={**example(commented=False), "NEO4J_PASSWORD": "only-for-tests"})
    default = Config()
    assert config.backend == "kafka-neo4j"
    assert config.kafka == default.kafka
    assert config.database.uri == default.database.uri
    assert config.server == default.server


@pytest.mark.process
def test_a_shell_reads_the_same() -> None:
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("there is no POSIX shell here")
    done = subprocess.run(
        [shell, "-c", f"set -a; . {EXAMPLE}; env"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    read = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {name: read[name] for name in VARIABLES if name in read} == example(commented=False)


def test_git_keeps_the_example_and_nothing_that_was_made_from_it() -> None:
    def ignored(name: str) -> bool:
        done = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
        return done.returncode == 0

    assert not ignored(".env.example")
    assert ignored(".env")
    assert ignored(".env.production")
