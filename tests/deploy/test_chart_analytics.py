"""The analytics of the chart: who asks them, and whom they reach."""

from agent_orchestration.config import VARIABLES
from tests.deploy.chart import BROUGHT_ALONG, DEFAULT, container, rendered, variables
from tests.deploy.policies import DNS, peers, policy

ANALYTICS = {"analytics.enabled": "true", "mcpServer.token.value": "only-for-tests-1"}
ADDRESS = "AGENT_ORCHESTRATION_ANALYTICS"


def test_servers_ask_them_where_they_are() -> None:
    chart = rendered(DEFAULT, ANALYTICS)
    server = variables(container(chart.named("Deployment", "mcp-server")))
    assert server[ADDRESS] == "http://analytics-service:8200"
    assert VARIABLES[ADDRESS] == ("analytics", "url")
    service = chart.named("Service", "analytics-service")["spec"]
    assert [one["port"] for one in service["ports"]] == [8200]
    pod = chart.pods()["Deployment/analytics"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    without = rendered(DEFAULT).named("Deployment", "mcp-server")
    assert ADDRESS not in variables(container(without))


def test_they_count_alone_know_the_token_of_the_servers_and_nothing_of_the_graph() -> None:
    chart = rendered(DEFAULT, ANALYTICS)
    workload = chart.named("Deployment", "analytics")
    assert (workload["spec"]["replicas"], workload["spec"]["strategy"]) == (1, {"type": "Recreate"})
    found = container(workload)
    assert found["args"][:3] == ["analytics", "--host=0.0.0.0", "--port=8200"]
    ports = {one["name"]: one["containerPort"] for one in found["ports"]}
    assert ports == {"http": 8200, "metrics": 9090}
    given = variables(found)
    assert {name.partition("_")[0] for name in given} == {"KAFKA", "AGENT"}
    server = variables(container(chart.named("Deployment", "mcp-server")))
    assert given["AGENT_ORCHESTRATION_TOKEN"] == server["AGENT_ORCHESTRATION_TOKEN"]


def test_servers_reach_them_and_they_reach_the_broker() -> None:
    chart = rendered(DEFAULT, {**ANALYTICS, **BROUGHT_ALONG})
    found = policy(chart, "analytics")
    assert peers(found["ingress"], "from") == {(8200,): {"mcp-server"}, (9090,): {"in monitoring"}}
    assert peers(found["egress"], "to") == {(53,): DNS, (9092,): {"kafka"}}
    assert peers(policy(chart, "mcp-server")["egress"], "to")[8200,] == {"analytics"}
    assert peers(policy(chart, "kafka")["ingress"], "from")[9092,] >= {"analytics"}
