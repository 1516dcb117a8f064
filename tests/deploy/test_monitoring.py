"""What looks at the platform: Prometheus and those beside it, in the development stack and for a
Kubernetes without an operator."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import BROUGHT_ALONG, NAMESPACE, SMALL, rendered
from tests.deploy.files import ROOT, compose
from tests.services.debian import unpacked
from tests.services.prometheus import promtool
from tests.services.run import needed

FOLDER = ROOT / "monitoring"
RULES = ROOT / "helm" / "agent-orchestration" / "monitoring" / "alerts.yaml"
SERVICES: dict[str, dict[str, Any]] = compose({"NEO4J_PASSWORD": "only-for-tests"})["services"]
MONITORING = {name for name, one in SERVICES.items() if "profiles" in one}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def accepted(*command: str | Path) -> str:
    """What a program says that finds nothing wrong."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(*arguments: str | Path) -> str:
    """What promtool says that finds nothing wrong."""
    with needed("prometheus"):
        program = promtool()
    return accepted(program, "check", *arguments)


def without_kubernetes() -> dict[str, Any]:
    """The settings for Kubernetes but for how pods are found, which Debian's Prometheus was built
    without."""
    found = read("prometheus-k8s.yml")
    [job] = found["scrape_configs"]
    del job["kubernetes_sd_configs"]
    return found


@pytest.mark.parametrize("content", [read("prometheus.yml"), without_kubernetes()])
def test_prometheus_takes_its_settings_with_the_alerts(
    content: dict[str, Any], tmp_path: Path
) -> None:
    # As they are mounted: beside each other.
    shutil.copy(RULES, tmp_path)
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    alerts = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    told = check("config", "--lint=all", "--lint-fatal", file)
    assert f"SUCCESS: {sum(len(one['rules']) for one in alerts)} rules found" in told


def test_alertmanager_takes_its_settings() -> None:
    with needed("alertmanager"):
        program = unpacked("prometheus-alertmanager") / "usr" / "bin" / "amtool"
    assert "1 receivers" in accepted(program, "check-config", FOLDER / "alertmanager.yml")


def test_the_stack_has_them_where_it_is_asked_to() -> None:
    assert sorted(MONITORING) == ["alertmanager", "grafana", "jaeger", "prometheus"]
    assert {tuple(SERVICES[name]["profiles"]) for name in MONITORING} == {("monitoring",)}
    for name in MONITORING:
        assert not re.search(r":(latest|\d+)$", SERVICES[name]["image"]), "a version in full"
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert SERVICES[name]["deploy"]["resources"]["limits"] == {"cpus": "1", "memory": "1G"}


def test_prometheus_asks_every_process_of_the_platform() -> None:
    found = read("prometheus.yml")
    assert (found["global"]["scrape_interval"], found["global"]["evaluation_interval"]) == (
        "15s",
        "15s",
    )
    [job] = found["scrape_configs"]
    assert (job["job_name"], job["scrape_interval"]) == ("agent-orchestration", "5s")
    assert job["static_configs"] == [{"targets": ["mcp-server:8000"]}]
    assert SERVICES["mcp-server"]["ports"][0].endswith(":8000")
    # It would be refused by the name that it is asked by.
    names = SERVICES["mcp-server"]["environment"]["AGENT_ORCHESTRATION_ALLOWED_HOSTS"]
    assert "mcp-server" in names.split(",")
    [processors] = job["dns_sd_configs"]
    command = SERVICES["event-processor"]["command"]
    assert processors["names"] == ["event-processor"]
    assert command[1:] == ["--metrics-port", str(processors["port"]), "--metrics-host", "0.0.0.0"]


def test_each_finds_the_others_where_they_are() -> None:
    [alerting] = read("prometheus.yml")["alerting"]["alertmanagers"][0]["static_configs"]
    addresses = {address.partition(":")[::2] for address in alerting["targets"]}
    for source in read("grafana/datasources/datasources.yml")["datasources"]:
        addresses.add(tuple(source["url"].removeprefix("http://").split(":")))
    assert {name for name, _ in addresses} == {"alertmanager", "prometheus", "jaeger"}
    for name, port in addresses:
        assert any(one.endswith(f":{port}") for one in SERVICES[name]["ports"])


def test_containers_send_traces_where_programs_on_this_machine_do() -> None:
    name = "OTEL_EXPORTER_OTLP_ENDPOINT"
    given = "http://localhost:4318"
    assert "127.0.0.1:4318:4318" in SERVICES["jaeger"]["ports"]
    sending = compose({"NEO4J_PASSWORD": "only-for-tests", name: given})["services"]
    for service in ("mcp-server", "event-processor"):
        assert sending[service]["environment"][name] == "http://jaeger:4318"
        assert not SERVICES[service]["environment"][name]


def test_grafana_shows_the_dashboards_of_the_chart() -> None:
    [provider] = read("grafana/dashboards/dashboards.yml")["providers"]
    mounts = [one.split(":") for one in SERVICES["grafana"]["volumes"]]
    by_target = {one[1]: ROOT / one[0] for one in mounts}
    shown = by_target[provider["options"]["path"]]
    assert [json.loads(path.read_text("utf-8"))["uid"] for path in shown.glob("*.json")]
    assert by_target["/etc/grafana/provisioning"] == FOLDER / "grafana"


def test_nobody_logs_in_to_grafana_with_a_known_password() -> None:
    variables = SERVICES["grafana"]["environment"]
    assert variables["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    # The role of who does not log in is Viewer, unless it is named.
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in variables


# --- Kubernetes ----------------------------------------------------------------------------------

Labels = dict[str, str]


def found_of(name: str, pod: dict[str, Any], address: str) -> Labels:
    """What Prometheus knows of a pod that it finds."""
    known: dict[str, Labels] = {
        "label": pod["metadata"]["labels"],
        "annotation": pod["metadata"].get("annotations", {}),
    }
    return {
        f"__meta_kubernetes_pod_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', key)}": value
        for kind, values in known.items()
        for key, value in values.items()
    } | {"__meta_kubernetes_pod_ip": address, "__meta_kubernetes_pod_name": name}


def asked(pods: list[Labels], folder: Path) -> dict[str, str]:
    """Where Prometheus asks each pod, by its name, of those that it keeps."""
    settings = without_kubernetes()
    [job] = settings["scrape_configs"]
    # An address of their own: the same one would be the same pod.
    job["static_configs"] = [
        {"targets": [one["__meta_kubernetes_pod_ip"]], "labels": one} for one in pods
    ]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings), "utf-8")
    # It looks for as long as it may.
    told = json.loads(check("service-discovery", "--timeout=1s", file, job["job_name"]))
    assert len(told) == len(pods)
    return {
        labels["pod"]: labels["__address__"] + labels["__metrics_path__"]
        for labels in (one["labels"] for one in told)
        if labels
    }


def test_in_kubernetes_all_pods_that_tell_something_are_asked(tmp_path: Path) -> None:
    pods = rendered(SMALL, BROUGHT_ALONG).pods()
    found, told = list[Labels](), dict[str, str]()
    for number, (name, pod) in enumerate(pods.items()):
        found.append(found_of(name, pod, f"10.0.0.{number}"))
        annotations: Labels = pod["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scrape") == "true":
            told[name] = f"10.0.0.{number}:{annotations['prometheus.io/port']}/metrics"
    assert {"Deployment/mcp-server", "Deployment/core-services"} <= set(told) < set(pods)
    assert asked(found, tmp_path) == told


@pytest.mark.parametrize(
    "other", ["label_app", "label_component", "annotation_prometheus_io_scrape"]
)
def test_in_kubernetes_a_pod_that_lacks_one_of_three_signs_is_left_alone(
    other: str, tmp_path: Path
) -> None:
    pod = rendered(SMALL).pods()["Deployment/mcp-server"]
    found = found_of("ours", pod, "10.0.0.1")
    foreign = found_of("foreign", pod, "10.0.0.2") | {f"__meta_kubernetes_pod_{other}": "other"}
    assert list(asked([found, foreign], tmp_path)) == ["ours"]


def test_in_kubernetes_pods_are_looked_for_every_quarter_of_a_minute() -> None:
    [job] = read("prometheus-k8s.yml")["scrape_configs"]
    assert (job["job_name"], job["scrape_interval"]) == ("agent-orchestration", "15s")
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]
