"""What values the chart takes and what it refuses, and what the program makes of its settings."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from agent_orchestration.cli import main
from agent_orchestration.config import VARIABLES, Config, load_config
from tests.deploy.chart import (
    BROUGHT_ALONG,
    CHART,
    DEFAULT,
    PRODUCTION,
    PROFILES,
    SMALL,
    Chart,
    Profile,
    refusal,
    rendered,
    template,
    variables,
)
from tests.deploy.files import last
from tests.services.kafka_users import USERS

#: The parts that are there if they are asked for.
OPTIONAL = {
    "workers.enabled": "true",
    "analytics.enabled": "true",
    "mcpServer.token.value": "only-for-tests-1",
}
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.file)


def settings(chart: Chart, tmp_path: Path, pod: str = "Deployment/core-services") -> Config:
    """What the program makes of the settings of a pod, and of its variables."""
    spec = chart.pods()[pod]["spec"]
    [container] = spec["containers"]
    [file] = [one["subPath"] for one in container["volumeMounts"] if one["name"] == "config"]
    [source] = [one["configMap"]["name"] for one in spec["volumes"] if one["name"] == "config"]
    path = tmp_path / file
    path.write_text(chart.named("ConfigMap", source)["data"][file], "utf-8")
    given = variables(container)
    in_secrets = {name for name, value in given.items() if isinstance(value, tuple)}
    graph = {"NEO4J_URI": "neo4j://graph:7687"} if "NEO4J_URI" in given else {}
    return load_config(
        path,
        environ={**given, **dict.fromkeys(in_secrets, "only-for-tests-" * 3), **graph},
        # As its verb says.
        overrides={"backend": "embedded"} if pod == "Deployment/analytics" else {},
    )


@every_profile
def test_every_pod_accepts_its_settings_and_servers_know_who_may_call(
    profile: Profile, tmp_path: Path
) -> None:
    chart = rendered(profile, OPTIONAL)
    pods = [
        name
        for name, pod in chart.pods().items()
        if "volumeMounts" in (one := pod["spec"]["containers"][0])
        and one["image"].startswith("agent-orchestration/")
    ]
    assert len(pods) == 10
    asking = {name for name in pods if settings(chart, tmp_path, name).auth.enabled}
    assert asking == (set() if profile == SMALL else {"Deployment/mcp-server"})


def test_tokens_are_from_and_for_the_address_of_the_ingress_unless_values_say_otherwise(
    tmp_path: Path,
) -> None:
    server = "Deployment/mcp-server"
    auth = settings(rendered(DEFAULT), tmp_path, server).auth
    assert auth.issuer == "https://api.agent-orchestration.example.com"
    assert auth.audience == "https://api.agent-orchestration.example.com/mcp"
    said = {"auth.issuer": "https://ao.example", "auth.audience": "ao", "ingress.enabled": "false"}
    auth = settings(rendered(DEFAULT, said), tmp_path, server).auth
    assert (auth.issuer, auth.audience) == ("https://ao.example", "ao")


@every_profile
def test_the_settings_are_accepted_by_the_program(profile: Profile, tmp_path: Path) -> None:
    chart = rendered(profile)
    config = settings(chart, tmp_path)
    assert config.backend == "kafka-neo4j"
    assert config.environment == ("development" if profile == SMALL else "production")
    assert (config.server.host, config.server.port) == ("0.0.0.0", 8000)
    assert "mcp-server-service" in config.server.allowed_hosts
    assert config.blobs == Path("/data/blobs")
    assert config.kafka.num_partitions == (4 if profile == SMALL else 8)
    assert config.kafka.replication_factor == (1 if profile == SMALL else None)


def test_the_settings_of_workers_know_nothing_of_broker_and_graph(tmp_path: Path) -> None:
    chart = rendered(DEFAULT, {**OPTIONAL, "openai.baseUrl": "http://ollama.models:11434/v1"})
    config = settings(chart, tmp_path, "Deployment/worker")
    assert config.openai.base_url == "http://ollama.models:11434/v1"
    assert config.server.url == "http://mcp-server-service:80"
    assert config.kafka == Config().kafka
    given = variables(chart.pods()["Deployment/worker"]["spec"]["containers"][0])
    assert set(given) == {
        "AGENT_ORCHESTRATION_BACKEND",
        "AGENT_ORCHESTRATION_SERVER",
        "AGENT_ORCHESTRATION_TOKEN",
        "OPENAI_API_KEY",
    }


def test_any_other_setting_can_be_said_and_wins(tmp_path: Path) -> None:
    more = {"config.kafka.prefix": "ao-", "config.database.pool_size": "7"}
    config = settings(rendered(DEFAULT, more), tmp_path)
    assert (config.kafka.prefix, config.database.pool_size) == ("ao-", 7)
    assert config.kafka.num_partitions == 8


def test_whoever_signs_tokens_is_part_of_the_settings() -> None:
    data = rendered(PRODUCTION).named("ConfigMap", "agent-orchestration-config")["data"]
    assert yaml.safe_load(data["mcp-server.yaml"])["auth"] == {
        "jwks_uri": "https://login.example.com/.well-known/jwks.json",
        "issuer": "https://login.example.com/",
        "audience": "https://api.agent-orchestration.example.com/mcp",
    }


@every_profile
def test_every_variable_is_a_setting_and_every_command_a_verb(
    profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, pod in rendered(profile, OPTIONAL).pods().items():
        [container] = pod["spec"]["containers"]
        if not container["image"].startswith("agent-orchestration/"):
            continue
        assert set(variables(container)) <= set(VARIABLES), name
        for probe in ("livenessProbe", "readinessProbe"):
            if "exec" in container.get(probe, {}):
                program, *words = container[probe]["exec"]["command"]
                assert program == "agent-orchestration"
                assert main([*words, "--help"]) == 0
        if "command" not in container:
            assert main([*container["args"], "--help"]) == 0, name
        capsys.readouterr()


@every_profile
def test_the_platform_runs_the_images_that_are_built_here(profile: Profile) -> None:
    for name, pod in rendered(profile, OPTIONAL).pods().items():
        [container] = pod["spec"]["containers"]
        if container["image"].startswith("agent-orchestration/"):
            target = re.fullmatch(r"agent-orchestration/([a-z-]+):0\.1\.0", container["image"])
            assert target, name
            assert last(target[1], "USER") == "10001:10001"


def test_secrets_that_exist_are_named_and_none_is_made() -> None:
    chart = rendered(PRODUCTION)
    assert chart.of("Secret") == []
    named: set[str] = set()
    for pod in chart.pods().values():
        for value in variables(pod["spec"]["containers"][0]).values():
            named |= {value[0]} if isinstance(value, tuple) else set()
    assert named == {
        "kafka-credentials",
        "neo4j-credentials",
        "openai-credentials",
        "server-token",
    }


@pytest.mark.parametrize("own", [True, False])
def test_each_part_logs_in_to_kafka_as_somebody_who_has_its_rights(own: bool) -> None:
    more = {"analytics.enabled": "true", "kafka.external.ownUsers": str(own).lower()}
    chart = rendered(PRODUCTION, more)
    given = {
        name: variables(pod["spec"]["containers"][0])
        for name, pod in chart.pods().items()
        if "KAFKA_PASSWORD" in variables(pod["spec"]["containers"][0])
    }
    users = {
        "Deployment/mcp-server": "ao-server",
        "Deployment/core-services": "ao-processor",
        "Deployment/analytics": "ao-analytics",
        "Job/topics-create": "ao-topics",
        "Job/schema-migrate": "ao-checks",
        "CronJob/agent-orchestration-backup": "ao-checks",
        "CronJob/agent-orchestration-verify": "ao-checks",
        "CronJob/agent-orchestration-compare": "ao-checks",
    }
    assert users.keys() <= given.keys()
    for name, found in given.items():
        user = users.get(name, "ao-checks")
        assert found["KAFKA_USERNAME"] == (user if own else ("kafka-credentials", "username"))
        assert found["KAFKA_PASSWORD"] == ("kafka-credentials", user if own else "password")
    assert set(users.values()) <= set(USERS)


JWT = {"auth.jwt.secret": "only-for-tests-" * 3}
PASSWORD = {"neo4j.password": "only-for-tests"}


@pytest.mark.parametrize(
    ("profile", "more", "said"),
    [
        (SMALL, {"mcpServer.insecure": "false"}, "auth: nobody would have to log in"),
        (SMALL, JWT, "mcpServer.insecure: would let everybody in"),
        (PRODUCTION, {"auth.audience": ""}, "set auth.issuer and auth.audience"),
        (PRODUCTION, JWT, "leave it or auth.jwt out"),
        (DEFAULT, {"ingress.enabled": "false"}, "set auth.issuer and auth.audience, or ingress"),
        (DEFAULT, {"neo4j.password": ""}, "neo4j.password: is needed"),
        (
            DEFAULT,
            {"kafka.external.securityProtocol": "SASL_SSL"},
            "existingSecret: SASL_SSL needs",
        ),
        (DEFAULT, {"workers.enabled": "true"}, "workers call mcp-server with its token"),
        (SMALL, {"analytics.enabled": "true"}, "mcp-server asks with its token"),
        (DEFAULT, {"neo4j.external.uri": "bolt://graph:7687"}, "use neo4j://"),
        (DEFAULT, {"neo4j.external.enabled": "false"}, "is Neo4j Enterprise"),
        (DEFAULT, {**BROUGHT_ALONG, "neo4j.replicas": "2"}, "a cluster needs at least 3"),
        (SMALL, {"neo4j.replicas": "2"}, "a standalone server is 1"),
        (DEFAULT, {"neo4j.maxConnections": "400"}, "may open 750 connections"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_remedy(
    profile: Profile, more: dict[str, str], said: str
) -> None:
    assert said in refusal(profile, more)


@pytest.mark.parametrize(
    "more",
    [
        {"global.environment": "prod"},
        {"mcpServer.replicas": "0"},
        {"mcpServer.replica": "3"},
        {"mcpServer.resources.limits.memory": "8 GB"},
        {"mcpServer.token.value": "short"},
        {"mcpServer.autoscaling.targetCPUUtilizationPercentage": "700"},
        {"auth.jwt.secret": "short"},
        {"neo4j.mode": "causal"},
        {"neo4j.external.uri": "http://graph:7474"},
        {"neo4j.external.uri": "neo4j://neo4j:secret@graph:7687"},
        {"kafka.external.bootstrapServers": "kafka"},
        {"kafka.numPartitions": "many"},
        {"ingress.host": ""},
        {"networkPolicy.dns": "kube-system"},
        {"cronJobs.backup.schedule": "daily"},
        {"unknown.value": "1"},
    ],
    ids=lambda more: "=".join(next(iter(more.items()))),
)
def test_wrong_values_are_refused_by_their_schema(more: dict[str, str]) -> None:
    [name] = more
    said = refusal(DEFAULT, more)
    assert "values don't meet the specifications of the schema" in said
    assert name.partition(".")[0] in said


def test_it_needs_nothing_from_elsewhere() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert "dependencies" not in about
    assert not (CHART / "charts").exists()


@every_profile
def test_what_is_to_be_done_next_is_said(profile: Profile, tmp_path: Path) -> None:
    # Helm shows it after an installation only, so a copy of the chart has it in an object.
    copy = tmp_path / CHART.name
    shutil.copytree(CHART, copy)
    notes = (CHART / "templates" / "NOTES.txt").read_text("utf-8")
    as_object = 'kind: Notes\ntext: {{ include "notes" . | toJson }}\n'
    text = f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}{as_object}'
    (copy / "templates" / "notes.yaml").write_text(text, "utf-8")
    done = template(profile, None, "--show-only=templates/notes.yaml", chart=copy)
    said = yaml.safe_load(done.stdout)["text"]
    assert "helm -n agents test agent-orchestration" in said
    assert ("nobody has to log in" in said) == (profile == SMALL)
