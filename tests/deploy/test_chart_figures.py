"""The figures of the chart: sizes, replicas, ports, times and names that were asked for."""

from typing import Any

import pytest
import yaml

from agent_orchestration import __version__
from tests.deploy.chart import (
    BROUGHT_ALONG,
    CHART,
    DEFAULT,
    PRODUCTION,
    PROFILES,
    SMALL,
    Profile,
    container,
    decoded,
    rendered,
    variables,
)

VALUES = {one: yaml.safe_load((CHART / one.file).read_text("utf-8")) for one in PROFILES}
ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
#: Replicas in the Deployments and StatefulSets themselves.
FIXED = {"mcpServer.autoscaling.enabled": "false", **BROUGHT_ALONG}
WORKERS = {"workers.enabled": "true", "mcpServer.token.value": "only-for-tests-1"}


def sizes(workload: dict[str, Any]) -> tuple[str, str, str, str]:
    """CPU and memory that the container asks for, and those it may take at most."""
    found = container(workload)["resources"]
    return (
        *(found["requests"][name] for name in ("cpu", "memory")),
        *(found["limits"][name] for name in ("cpu", "memory")),
    )


@pytest.mark.parametrize(
    ("kind", "name", "replicas", "size"),
    [
        ("Deployment", "mcp-server", 3, ("2", "4Gi", "4", "8Gi")),
        ("Deployment", "core-services", 3, ("2", "4Gi", "4", "8Gi")),
        ("StatefulSet", "neo4j", 3, ("4", "16Gi", "8", "32Gi")),
        ("StatefulSet", "kafka", 3, ("2", "4Gi", "4", "8Gi")),
    ],
)
def test_sizes_and_replicas_by_default(
    kind: str, name: str, replicas: int, size: tuple[str, str, str, str]
) -> None:
    found = rendered(DEFAULT, FIXED).named(kind, name)
    assert found["spec"]["replicas"] == replicas
    assert sizes(found) == size


@pytest.mark.parametrize(
    ("kind", "name", "size"),
    [
        ("Deployment", "mcp-server", ("500m", "512Mi", "1", "1Gi")),
        ("Deployment", "core-services", ("200m", "256Mi", "500m", "512Mi")),
    ],
)
def test_sizes_of_a_small_installation(kind: str, name: str, size: tuple[str, ...]) -> None:
    assert sizes(rendered(SMALL).named(kind, name)) == size


@pytest.mark.parametrize(("name", "limits"), [("neo4j", ("2", "4Gi")), ("kafka", ("2", "2Gi"))])
def test_a_small_installation_brings_one_broker_and_one_graph_along(
    name: str, limits: tuple[str, str]
) -> None:
    found = rendered(SMALL).named("StatefulSet", name)
    assert found["spec"]["replicas"] == 1
    assert sizes(found)[2:] == limits


def test_workers_are_between_two_and_three_and_have_the_size_of_a_router() -> None:
    worker = rendered(DEFAULT, WORKERS).named("Deployment", "worker")
    assert worker["spec"]["replicas"] == 2
    assert sizes(worker) == ("500m", "1Gi", "2", "4Gi")
    scaled = rendered(DEFAULT, {**WORKERS, "workers.autoscaling.enabled": "true"})
    limits = scaled.named("HorizontalPodAutoscaler", "worker-hpa")["spec"]
    assert (limits["minReplicas"], limits["maxReplicas"]) == (2, 3)


def test_what_runs_once_and_what_runs_daily_have_sizes_of_their_own() -> None:
    values = VALUES[DEFAULT]
    once, daily = values["jobs"]["resources"], values["cronJobs"]["resources"]
    assert [once["requests"]["cpu"], once["requests"]["memory"]] == ["500m", "1Gi"]
    assert [once["limits"]["cpu"], once["limits"]["memory"]] == ["1", "2Gi"]
    assert [daily["requests"]["cpu"], daily["requests"]["memory"]] == ["1", "2Gi"]
    assert [daily["limits"]["cpu"], daily["limits"]["memory"]] == ["4", "8Gi"]


def test_the_server_scales_from_3_to_10_at_70_percent_cpu_and_80_percent_memory() -> None:
    scaler = rendered(DEFAULT).named("HorizontalPodAutoscaler", "mcp-server-hpa")
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 10)
    targets = {
        one["resource"]["name"]: one["resource"]["target"]["averageUtilization"]
        for one in scaler["spec"]["metrics"]
    }
    assert targets == {"cpu": 70, "memory": 80}
    assert scaler["spec"]["scaleTargetRef"]["name"] == "mcp-server"
    assert "replicas" not in rendered(DEFAULT).named("Deployment", "mcp-server")["spec"]


def test_processors_scale_from_3_to_5_by_commands_that_wait() -> None:
    chart = rendered(DEFAULT, {"coreServices.autoscaling.enabled": "true"})
    scaler = chart.named("ScaledObject", "core-services")["spec"]
    assert (scaler["minReplicaCount"], scaler["maxReplicaCount"]) == (3, 5)
    [trigger] = scaler["triggers"]
    assert trigger["metadata"]["consumerGroup"] == "agent_event_processor"
    assert trigger["metadata"]["topic"] == "commands"


@pytest.mark.parametrize("own", [True, False])
def test_who_scales_processors_logs_in_to_kafka(own: bool) -> None:
    users = {"kafka.external.ownUsers": str(own).lower()}
    chart = rendered(PRODUCTION, {"coreServices.autoscaling.enabled": "true", **users})
    login = chart.named("TriggerAuthentication", "core-services-kafka")["spec"]
    names = {one["parameter"]: (one["name"], one["key"]) for one in login["secretTargetRef"]}
    secret = "core-services-kafka" if own else "kafka-credentials"
    assert names["username"] == (secret, "username")
    assert names["password"] == ("kafka-credentials", "ao-checks" if own else "password")
    how = decoded(chart.named("Secret", "core-services-kafka"))
    user = {"username": "ao-checks"} if own else {}
    assert how == {"sasl": "scram_sha512", "tls": "enable", **user}


@pytest.mark.parametrize("name", ["mcp-server", "core-services"])
def test_an_update_replaces_one_after_the_other(name: str) -> None:
    strategy = rendered(DEFAULT).named("Deployment", name)["spec"]["strategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 1}


def test_probes_ask_for_health_after_30_s_every_10_and_for_readiness_after_5_s_every_5() -> None:
    found = container(rendered(DEFAULT).named("Deployment", "mcp-server"))
    live, ready = found["livenessProbe"], found["readinessProbe"]
    assert live["httpGet"]["path"] == "/health"
    assert (live["initialDelaySeconds"], live["periodSeconds"]) == (30, 10)
    assert ready["httpGet"]["path"] == "/ready"
    assert (ready["initialDelaySeconds"], ready["periodSeconds"]) == (5, 5)
    assert found["ports"] == [{"name": live["httpGet"]["port"], "containerPort": 8000}]


def test_the_service_has_port_80_and_leads_to_8000() -> None:
    chart = rendered(DEFAULT)
    service = chart.named("Service", "mcp-server-service")["spec"]
    [port] = service["ports"]
    [target] = container(chart.named("Deployment", "mcp-server"))["ports"]
    assert service["type"] == "ClusterIP"
    assert (port["port"], port["targetPort"]) == (80, target["name"])
    assert target["containerPort"] == 8000


def test_the_ingress_is_that_of_nginx_with_tls_and_nothing_else() -> None:
    ingress = rendered(DEFAULT).named("Ingress", "agent-orchestration-ingress")
    host = "api.agent-orchestration.example.com"
    spec = ingress["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": [host], "secretName": "agent-orchestration-tls"}]
    [rule] = spec["rules"]
    [path] = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == (host, "/", "Prefix")
    assert path["backend"]["service"]["name"] == "mcp-server-service"
    for name in ("ssl-redirect", "force-ssl-redirect"):
        assert ingress["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/{name}"] == "true"


def test_the_labels_tell_the_parts_apart() -> None:
    chart = rendered(DEFAULT, BROUGHT_ALONG)
    labels = {
        name: (pod["metadata"]["labels"]["app"], pod["metadata"]["labels"]["component"])
        for name, pod in chart.pods().items()
    }
    assert labels["Deployment/mcp-server"] == ("mcp-server", "mcp")
    assert labels["Deployment/core-services"] == ("core-services", "event-processor")
    assert labels["StatefulSet/neo4j"][0] == "neo4j"
    assert labels["StatefulSet/kafka"][0] == "kafka"


def test_secrets_and_addresses_of_the_server_have_their_names_and_ports() -> None:
    chart = rendered(DEFAULT, {"global.openaiApiKey": "only-for-tests"})
    given = variables(container(chart.named("Deployment", "mcp-server")))
    assert given["OPENAI_API_KEY"] == ("openai-credentials", "api-key")
    assert given["NEO4J_URI"] == ("neo4j-credentials", "uri")
    assert given["NEO4J_USERNAME"] == ("neo4j-credentials", "username")
    assert given["NEO4J_PASSWORD"] == ("neo4j-credentials", "password")
    assert given["KAFKA_BOOTSTRAP_SERVERS"] == "kafka-service:9092"
    assert given["JWT_SECRET_KEY"] == ("jwt-secret", "jwt-secret")
    graph = chart.named("Secret", "neo4j-credentials")
    assert graph["type"] == "Opaque"
    assert decoded(graph) == {
        "uri": "neo4j://neo4j-service:7687",
        "username": "neo4j",
        "password": "only-for-tests",
    }
    assert decoded(chart.named("Secret", "openai-credentials")) == {"api-key": "only-for-tests"}
    assert [one for one in chart.of("Secret") if "27017" in str(decoded(one))] == []


@pytest.mark.parametrize(("profile", "connections"), [(DEFAULT, 50), (SMALL, 10)])
def test_each_process_has_a_pool_of_connections(profile: Profile, connections: int) -> None:
    settings = rendered(profile).named("ConfigMap", "agent-orchestration-config")["data"]
    assert yaml.safe_load(settings["config.yaml"])["database"]["pool_size"] == connections


def test_the_default_is_production_with_a_cluster_of_the_graph() -> None:
    values = VALUES[DEFAULT]
    assert values["global"] == {"environment": "production", "openaiApiKey": ""}
    assert values["neo4j"]["mode"] == "cluster"
    assert VALUES[SMALL]["neo4j"]["mode"] == "standalone"


def test_the_chart_is_called_like_its_release_and_needs_kubernetes_1_23() -> None:
    assert ABOUT["name"] == "agent-orchestration"
    assert ABOUT["apiVersion"] == "v2", "Helm 3"
    assert ABOUT["kubeVersion"] == ">=1.23.0-0"
    assert ABOUT["appVersion"] == __version__


def test_in_production_broker_and_graph_are_elsewhere_and_reached_over_tls() -> None:
    chart = rendered(PRODUCTION)
    assert chart.of("StatefulSet") == []
    given = variables(container(chart.named("Deployment", "core-services")))
    assert given["NEO4J_URI"].startswith("neo4j+s://")
    settings = chart.named("ConfigMap", "agent-orchestration-config")["data"]["config.yaml"]
    assert yaml.safe_load(settings)["kafka"]["security_protocol"] == "SASL_SSL"


def test_the_graph_is_backed_up_daily_at_two() -> None:
    assert (
        rendered(DEFAULT).named("CronJob", "agent-orchestration-backup")["spec"]["schedule"]
        == "0 2 * * *"
    )
