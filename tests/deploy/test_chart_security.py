"""What pods of the chart may do, who may call them, and whom they may call."""

from typing import Any

import pytest
import yaml
from starlette.responses import PlainTextResponse

from agent_orchestration.server.guard import HostGuard
from tests.deploy.chart import (
    BROUGHT_ALONG,
    DEFAULT,
    PRODUCTION,
    PROFILES,
    SMALL,
    Object,
    Profile,
    rendered,
    variables,
)
from tests.deploy.files import compose, last
from tests.deploy.policies import DNS, peers, policy

#: The parts that are there if they are asked for.
OPTIONAL = {
    "workers.enabled": "true",
    "analytics.enabled": "true",
    "mcpServer.token.value": "only-for-tests-1",
}
EVERYTHING = {**OPTIONAL, **BROUGHT_ALONG}
OURS = {"mcp-server", "core-services", "worker", "analytics", "platform-job"}
#: Their images write into folders of their own.
WRITING = {"neo4j", "kafka"}
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.file)


def allowed(pod: Object) -> list[str]:
    """What Pod Security "restricted" has against a pod."""
    spec = pod["spec"]
    security = spec["securityContext"]
    found: list[str] = []
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        found.append("may be root")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("no seccomp profile")
    if any({"hostPath", "nfs"} & set(volume) for volume in spec.get("volumes", ())):
        found.append("a volume of a kind that is not allowed")
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("a namespace of the host")
    for one in (*spec["containers"], *spec.get("initContainers", ())):
        own = one["securityContext"]
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("may escalate privileges")
        if own.get("capabilities") != {"drop": ["ALL"]} or own.get("privileged"):
            found.append("has capabilities")
    return found


@pytest.mark.parametrize("profile", [DEFAULT, PRODUCTION], ids=lambda one: one.file)
def test_every_pod_is_allowed_where_pod_security_is_restricted(profile: Profile) -> None:
    pods = rendered(profile, EVERYTHING).pods()
    assert {"Deployment/worker", "StatefulSet/neo4j", "StatefulSet/kafka"} < set(pods)
    assert {name: found for name, pod in pods.items() if (found := allowed(pod))} == {}


@every_profile
def test_no_pod_speaks_to_kubernetes_or_takes_services_for_settings(profile: Profile) -> None:
    chart = rendered(profile, OPTIONAL)
    for name, pod in chart.pods().items():
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["enableServiceLinks"] is False, name
    assert [one["automountServiceAccountToken"] for one in chart.of("ServiceAccount")] == [False]


@every_profile
def test_our_containers_are_the_user_of_their_image_and_write_nowhere_else(
    profile: Profile,
) -> None:
    for name, pod in rendered(profile, OPTIONAL).pods().items():
        [container] = pod["spec"]["containers"]
        app = pod["metadata"]["labels"]["app"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is (app not in WRITING), name
        if app in OURS:
            user = f"{security['runAsUser']}:{security['runAsGroup']}"
            assert user == last("mcp-server", "USER"), name
            assert pod["spec"]["securityContext"]["fsGroup"] == security["runAsGroup"]


@every_profile
def test_every_container_says_how_much_it_takes(profile: Profile) -> None:
    for name, pod in rendered(profile, OPTIONAL).pods().items():
        [container] = pod["spec"]["containers"]
        for kind in ("requests", "limits"):
            wanted = {"cpu", "memory", "ephemeral-storage"}
            assert set(container["resources"][kind]) == wanted, f"{name}: {kind}"


def test_all_processes_share_the_blobs_and_workers_have_none() -> None:
    for name, pod in rendered(DEFAULT, OPTIONAL).pods().items():
        [container] = pod["spec"]["containers"]
        mounted = {one["mountPath"]: one["name"] for one in container.get("volumeMounts", ())}
        if name.startswith(("Deployment/mcp", "Deployment/core", "Deployment/an", "CronJob/")):
            assert mounted["/data/blobs"] == "blobs", name
            volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
            claim = volumes["blobs"]["persistentVolumeClaim"]["claimName"]
            assert claim == "agent-orchestration-blobs"
        else:
            assert "/data/blobs" not in mounted, name


def test_the_blobs_outlive_the_release_and_can_be_on_every_node() -> None:
    claim = rendered(DEFAULT).named("PersistentVolumeClaim", "agent-orchestration-blobs")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_query_reaches_neither_files_nor_the_network_nor_all_memory() -> None:
    pods = rendered(SMALL).pods()
    given = variables(pods["StatefulSet/neo4j"]["spec"]["containers"][0])
    stack = compose({"NEO4J_PASSWORD": "only-for-tests"})["services"]["neo4j"]["environment"]
    own = {"NEO4J_AUTH", "NEO4J_server_bolt_thread__pool__max__size"}
    shared = {name: value for name, value in stack.items() if name != "NEO4J_AUTH"}
    assert len(shared) == 10
    assert {name: value for name, value in given.items() if name in shared} == shared
    assert set(given) - set(shared) == own | {"GRAPH_USERNAME", "GRAPH_PASSWORD"}
    assert given["NEO4J_server_bolt_thread__pool__max__size"] == "400"


CALLERS = {"api-gateway", "worker", "platform-job", "in ingress-nginx", "in monitoring"}
INTERNET = {"0.0.0.0/0", "::/0"}


@every_profile
def test_every_pod_has_a_policy(profile: Profile) -> None:
    chart = rendered(profile, OPTIONAL)
    for name, pod in chart.pods().items():
        labels = pod["metadata"]["labels"].items()
        matching = [
            one
            for one in chart.of("NetworkPolicy")
            if one["spec"]["podSelector"]["matchLabels"].items() <= labels
        ]
        assert len(matching) == 1, name


def test_the_server_is_called_by_a_gateway_the_ingress_prometheus_workers_and_jobs() -> None:
    found = policy(rendered(DEFAULT), "mcp-server")
    assert peers(found["ingress"], "from") == {(8000,): CALLERS}


def test_the_server_calls_names_graph_broker_and_language_models() -> None:
    found = policy(rendered(DEFAULT), "mcp-server")
    assert peers(found["egress"], "to") == {
        (53,): DNS,
        (7687,): {"anybody"},
        (9092,): {"anybody"},
        (443,): INTERNET,
    }
    [names] = [one for one in found["egress"] if one["ports"][0]["port"] == 53]
    assert {one["protocol"] for one in names["ports"]} == {"UDP", "TCP"}


def test_nobody_but_prometheus_calls_a_processor() -> None:
    found = policy(rendered(DEFAULT, BROUGHT_ALONG), "core-services")
    assert peers(found["ingress"], "from") == {(9090,): {"in monitoring"}}
    assert peers(found["egress"], "to") == {(53,): DNS, (7687,): {"neo4j"}, (9092,): {"kafka"}}


@pytest.mark.parametrize("app", ["mcp-server", "core-services", "worker"])
def test_where_traces_go_to_a_collector_it_is_reached(app: str) -> None:
    collector = {"config.tracing.endpoint": "http://collector:4318"}
    egress = [policy(rendered(DEFAULT, OPTIONAL | more), app)["egress"] for more in ({}, collector)]
    without, found = (peers(rules, "to") for rules in egress)
    assert found == without | {(4318,): {"anybody"}}


def test_workers_reach_the_server_and_models_only() -> None:
    found = policy(rendered(DEFAULT, OPTIONAL), "worker")
    assert peers(found["ingress"], "from") == {(9090,): {"in monitoring"}}
    assert peers(found["egress"], "to") == {(53,): DNS, (8000,): {"mcp-server"}, (443,): INTERNET}


@pytest.mark.parametrize(("app", "port"), [("neo4j", 7687), ("kafka", 9092)])
def test_broker_and_graph_are_called_by_the_platform_and_by_each_other(app: str, port: int) -> None:
    found = policy(rendered(DEFAULT, BROUGHT_ALONG), app)
    clients = {"mcp-server", "core-services", "platform-job"}
    assert peers(found["ingress"], "from") == {(port,): clients, (): {app}}
    assert peers(found["egress"], "to") == {(53,): DNS, (): {app}}


def test_whoever_scales_processors_measures_brokers_that_are_brought_along() -> None:
    more = {**BROUGHT_ALONG, "coreServices.autoscaling.enabled": "true"}
    found = policy(rendered(DEFAULT, more), "kafka")
    clients = {"mcp-server", "core-services", "platform-job", "in keda"}
    assert peers(found["ingress"], "from") == {(9092,): clients, (): {"kafka"}}


def test_the_ports_are_those_of_the_addresses() -> None:
    elsewhere = {
        "kafka.external.bootstrapServers": r"a.example:9093\,b.example:9094\,c.example:9093",
        "neo4j.external.uri": "neo4j+s://graph.example:17687",
        "openai.baseUrl": "http://ollama.models:11434/v1",
    }
    found = policy(rendered(DEFAULT, elsewhere), "mcp-server")
    assert set(peers(found["egress"], "to")) == {(53,), (17687,), (9093, 9094), (11434,)}


def test_private_addresses_are_no_part_of_the_internet() -> None:
    [rule] = [
        one
        for one in policy(rendered(DEFAULT), "mcp-server")["egress"]
        if one["ports"] == [{"protocol": "TCP", "port": 443}]
    ]
    kept_out = {block for one in rule["to"] for block in one["ipBlock"]["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} < kept_out


def test_a_client_can_be_kept_with_one_server() -> None:
    name = "nginx.ingress.kubernetes.io/affinity"
    assert name not in rendered(DEFAULT).of("Ingress")[0]["metadata"]["annotations"]
    sticky = rendered(DEFAULT, {"ingress.sticky": "true"}).of("Ingress")[0]
    assert sticky["metadata"]["annotations"][name] == "cookie"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("10.1.2.3:8000", 200),  # the kubelet's probes and Prometheus, by the pod's address
        ("mcp-server-service", 200),
        ("mcp-server-service.agents.svc.cluster.local:80", 200),
        ("api.agent-orchestration.example.com", 200),
        ("localhost:8000", 200),
        ("elsewhere.example.com", 421),
    ],
)
async def test_requests_call_the_server_by_its_names(host: str, status: int) -> None:
    data = rendered(DEFAULT).named("ConfigMap", "agent-orchestration-config")["data"]
    names = yaml.safe_load(data["mcp-server.yaml"])["server"]["allowed_hosts"]
    guard = HostGuard(PlainTextResponse("ready"), names)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/ready",
        "scheme": "http",
        "server": ("10.1.2.3", 8000),
        "headers": [(b"host", host.encode())],
    }
    await guard(scope, receive, send)
    assert sent[0]["status"] == status
