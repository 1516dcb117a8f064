"""What the chart tells Prometheus and Grafana."""

import json
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import (
    DEFAULT,
    PRODUCTION,
    PROFILES,
    SMALL,
    Object,
    Profile,
    container,
    refusal,
    rendered,
)
from tests.deploy.dashboards import FOLDER, MONITORING

OPERATOR = {"monitoring.monitors": "true", "monitoring.rules": "true"}
TOKEN = {"monitoring.tokenSecret": "metrics-token"}
#: The parts that are there if they are asked for.
OPTIONAL = {
    "workers.enabled": "true",
    "analytics.enabled": "true",
    "mcpServer.token.value": "only-for-tests-1",
}
KINDS = ("PodMonitor", "PrometheusRule", "ServiceMonitor")
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.file)


def file(name: str) -> str:
    return (MONITORING / name).read_text("utf-8")


@every_profile
def test_nothing_needs_the_operator_unless_it_is_asked_for(profile: Profile) -> None:
    assert rendered(profile).of(*KINDS) == []


@pytest.mark.parametrize(
    ("name", "component", "port"),
    [
        ("mcp-server", "mcp", 8000),
        ("core-services", "event-processor", 9090),
        ("worker", "worker", 9090),
        ("analytics", "analytics", 9090),
    ],
)
def test_prometheus_finds_every_pod_with_metrics_by_labels_and_an_annotation(
    name: str, component: str, port: int
) -> None:
    workload = rendered(DEFAULT, OPTIONAL).named("Deployment", name)
    about = workload["spec"]["template"]["metadata"]
    assert (about["labels"]["app"], about["labels"]["component"]) == (name, component)
    found = {key: value for key, value in about["annotations"].items() if "prometheus" in key}
    assert found == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
    }
    assert port in [one["containerPort"] for one in container(workload)["ports"]]


@pytest.mark.parametrize("name", ["core-services", "worker", "analytics"])
def test_processes_without_an_api_serve_their_metrics_there(name: str) -> None:
    found = container(rendered(DEFAULT, OPTIONAL).named("Deployment", name))
    assert {"--metrics-port=9090", "--metrics-host=0.0.0.0"} < set(found["args"])


def test_nobody_reads_metrics_where_nobody_is_named() -> None:
    chart = rendered(DEFAULT, {**OPTIONAL, "networkPolicy.monitoring": "null"})
    for name in ("core-services-network-policy", "worker-network-policy"):
        assert chart.named("NetworkPolicy", name)["spec"]["ingress"] == []


def monitored(chart_objects: list[Object]) -> dict[str, Object]:
    """The endpoint of each monitor."""
    found = {
        one["kind"]: (one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"])
        for one in chart_objects
    }
    assert all(len(endpoints) == 1 for endpoints in found.values())
    return {kind: endpoints[0] for kind, endpoints in found.items()}


def test_monitors_lead_to_the_server_and_to_every_pod_with_a_port_for_metrics() -> None:
    chart = rendered(DEFAULT, {**OPTIONAL, **OPERATOR, **TOKEN})
    endpoints = monitored(chart.of("ServiceMonitor", "PodMonitor"))
    for one in endpoints.values():
        assert (one["path"], one["interval"]) == ("/metrics", "15s")
        [renamed] = one["relabelings"]
        assert (renamed["targetLabel"], renamed["replacement"]) == ("job", "agent-orchestration")
    service = chart.named("Service", "mcp-server-service")
    wanted = chart.named("ServiceMonitor", "mcp-server")["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert endpoints["ServiceMonitor"]["port"] == service["spec"]["ports"][0]["name"]
    wanted = chart.named("PodMonitor", "agent-orchestration")["spec"]["selector"]["matchLabels"]
    found = {
        name
        for name, pod in chart.pods().items()
        if wanted.items() <= pod["metadata"]["labels"].items()
        for port in pod["spec"]["containers"][0].get("ports", ())
        if port["name"] == endpoints["PodMonitor"]["port"]
    }
    assert found == {"Deployment/core-services", "Deployment/worker", "Deployment/analytics"}


def test_prometheus_logs_in_where_callers_do() -> None:
    for profile in (DEFAULT, PRODUCTION):
        assert "set monitoring.tokenSecret" in refusal(profile, OPERATOR)
        found = monitored(rendered(profile, {**OPERATOR, **TOKEN}).of("ServiceMonitor"))
        assert found["ServiceMonitor"]["authorization"] == {
            "type": "Bearer",
            "credentials": {"name": "metrics-token", "key": "token"},
        }
    assert "authorization" not in monitored(rendered(SMALL, OPERATOR).of("ServiceMonitor"))


def test_the_rules_are_those_of_the_file() -> None:
    found = rendered(SMALL, OPERATOR).named("PrometheusRule", "production-alerts")
    assert found["spec"] == yaml.safe_load(file("alerts.yaml"))
    assert "user-experience" in {group["name"] for group in found["spec"]["groups"]}


def test_links_of_alerts_lead_to_where_the_pages_are() -> None:
    more = {**OPERATOR, "monitoring.runbooks": "https://docs.example.com/v1/"}
    groups = rendered(SMALL, more).named("PrometheusRule", "production-alerts")["spec"]["groups"]
    links = {rule["annotations"]["runbook_url"] for one in groups for rule in one["rules"]}
    page = "https://docs.example.com/v1/docs/operations/alerts.md#"
    assert {link.removeprefix(page).isalnum() for link in links} == {True}


def test_the_dashboards_are_those_of_the_files() -> None:
    chart = rendered(DEFAULT)
    found = chart.named("ConfigMap", "agent-orchestration-dashboards")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    shown = {name: json.loads(content) for name, content in found["data"].items()}
    paths: list[Path] = sorted(FOLDER.glob("*.json"))
    assert shown == {path.name: json.loads(path.read_text("utf-8")) for path in paths}
    none = rendered(DEFAULT, {"monitoring.dashboards": "false"})
    assert "agent-orchestration-dashboards" not in none.names("ConfigMap")


def test_the_objectives_are_those_of_the_file() -> None:
    data = rendered(DEFAULT).named("ConfigMap", "user-experience-metrics")["data"]
    assert yaml.safe_load(data["metrics.yaml"]) == yaml.safe_load(file("slo.yaml"))


def test_those_who_look_for_labels_find_them() -> None:
    chart = rendered(SMALL, {**OPERATOR, "monitoring.labels.release": "prometheus"})
    dashboards = chart.named("ConfigMap", "agent-orchestration-dashboards")
    for one in (*chart.of(*KINDS), dashboards):
        assert one["metadata"]["labels"]["release"] == "prometheus", one["kind"]
