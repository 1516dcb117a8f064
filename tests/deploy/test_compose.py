"""The development stack: what it starts, in which order, with which settings and limits."""

from typing import Any

import pytest

from agent_orchestration.cli import main
from agent_orchestration.config import VARIABLES, load_config
from tests.deploy.files import ROOT, compose, last, named_variables, words
from tests.services import kafka, neo4j

PASSWORD = "only-for-tests"
STACK = compose({"NEO4J_PASSWORD": PASSWORD})
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
#: Built here, not fetched.
OURS = sorted(name for name, one in SERVICES.items() if "build" in one)
#: What only looks at the rest: not there unless it is asked for.
MONITORING = sorted(name for name, one in SERVICES.items() if "profiles" in one)
LASTING = sorted(
    name for name, one in SERVICES.items() if one["restart"] != "no" and name not in MONITORING
)

ours = pytest.mark.parametrize("name", OURS)


def built(name: str) -> str:
    """The image that is built for a service."""
    return SERVICES[name]["build"]["dockerfile"].removeprefix("dockerfiles/").split(".")[0]


def test_the_platform_runs_apart_from_what_it_needs_and_in_two_parts() -> None:
    assert LASTING == ["event-processor", "kafka", "mcp-server", "neo4j"]
    assert OURS == ["event-processor", "mcp-server", "schema", "topics"]


@pytest.mark.parametrize("name", [*LASTING, *MONITORING])
def test_what_ends_is_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_without_a_password_nothing_starts() -> None:
    with pytest.raises(AssertionError, match="NEO4J_PASSWORD"):
        compose({})


def test_the_images_are_those_that_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == kafka.VERSIONS["4.1"].image
    assert SERVICES["neo4j"]["image"] == neo4j.VERSIONS["5.26"].image


@ours
def test_a_command_is_one_of_the_program_with_its_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SERVICES[name]["command"], "--help"]) == 0
    assert "Usage: agent-orchestration" in capsys.readouterr().out


@ours
def test_the_image_and_the_dockerfile_that_makes_it_have_the_same_name(name: str) -> None:
    one = SERVICES[name]
    image = built(name)
    assert one["image"] == f"agent-orchestration/{image}:latest"
    assert one["build"] == {"context": ".", "dockerfile": f"dockerfiles/{image}.Dockerfile"}
    assert words(last(image, "CMD"))[0] in {one["command"][0], "processor"}


@ours
def test_every_variable_is_a_setting_and_all_of_them_are_accepted(name: str) -> None:
    variables = SERVICES[name]["environment"]
    assert set(variables) <= set(VARIABLES)
    config = load_config(environ={**variables, "AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j"})
    assert config.kafka.bootstrap_servers == "kafka:9092"
    assert config.database.uri == "neo4j://neo4j:7687"
    assert config.database.password is not None
    assert config.database.password.get_secret_value() == PASSWORD
    assert config.environment == "development", "one broker keeps no three replicas"


def test_what_is_taken_from_outside_is_a_setting() -> None:
    assert named_variables() <= set(VARIABLES)


@ours
def test_a_container_of_ours_may_do_nothing_but_its_work(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["init"] is True
    assert "privileged" not in one
    assert "user" not in one, "the image's own, which is not root"


@ours
def test_all_processes_share_the_blobs(name: str) -> None:
    assert SERVICES[name]["volumes"] == ["blobs:/data/blobs"]
    assert SERVICES[name]["environment"]["AGENT_ORCHESTRATION_BLOBS"] == "/data/blobs"
    assert "/data/blobs" in last(built(name), "RUN").split()


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert sorted(ports) == [
        "127.0.0.1:16686:16686",
        "127.0.0.1:3000:3000",
        "127.0.0.1:4318:4318",
        "127.0.0.1:7474:7474",
        "127.0.0.1:7687:7687",
        "127.0.0.1:8000:8000",
        "127.0.0.1:9090:9090",
        "127.0.0.1:9092:29092",
        "127.0.0.1:9093:9093",
    ]


def test_the_platform_waits_for_its_topics_and_its_schema() -> None:
    finished = {"condition": "service_completed_successfully"}
    healthy = {"condition": "service_healthy"}
    for name in ("event-processor", "mcp-server"):
        assert SERVICES[name]["depends_on"] == {
            "kafka": healthy,
            "neo4j": healthy,
            "topics": finished,
            "schema": finished,
        }
    assert SERVICES["topics"]["depends_on"] == {"kafka": healthy}
    assert SERVICES["schema"]["depends_on"] == {"neo4j": healthy}


@pytest.mark.parametrize("name", ["kafka", "neo4j"])
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert (check["interval"], check["timeout"], check["retries"]) == ("30s", "10s", 3)
    assert check["test"][0] == "CMD"


def test_the_limits_are_the_sizes_of_a_development_installation() -> None:
    limits = {name: SERVICES[name]["deploy"]["resources"]["limits"] for name in LASTING}
    assert {name: (one["cpus"], one["memory"]) for name, one in limits.items()} == {
        "event-processor": ("2", "4G"),
        "mcp-server": ("2", "4G"),
        "neo4j": ("2", "4G"),
        "kafka": ("2", "2G"),
    }


def test_every_volume_is_used_and_declared() -> None:
    mounted = {
        volume.split(":")[0] for one in SERVICES.values() for volume in one.get("volumes", ())
    }
    files = {name for name in mounted if name.startswith("./")}
    assert mounted - files == set(STACK["volumes"])
    assert {name for name in files if not (ROOT / name).exists()} == set()


def test_no_value_that_is_a_secret_is_in_the_file() -> None:
    secret = {"NEO4J_PASSWORD", "OPENAI_API_KEY", "NEO4J_AUTH"}
    written = compose({"NEO4J_PASSWORD": "<password>"})["services"]
    found = {
        value
        for one in written.values()
        for name, value in one.get("environment", {}).items()
        if name in secret
    }
    assert found == {"<password>", "neo4j/<password>", None}
