"""The NetworkPolicies of the chart, in words."""

from typing import Any

from tests.deploy.chart import Chart, Object

DNS = {"in kube-system"}


def policy(chart: Chart, app: str) -> dict[str, Any]:
    """The NetworkPolicy of the pods of that label."""
    [found] = [
        one["spec"]
        for one in chart.of("NetworkPolicy")
        if one["spec"]["podSelector"]["matchLabels"]["app"] == app
    ]
    assert found["policyTypes"] == ["Ingress", "Egress"]
    return found


def peers(rules: list[Any], side: str) -> dict[tuple[int, ...], Any]:
    """Of each rule the ports, and who is there: labels of pods, namespaces, blocks, or anybody."""
    found: dict[tuple[int, ...], Any] = {}
    for rule in rules:
        ports = tuple(sorted({one["port"] for one in rule.get("ports", ())}))
        there: list[Object] = rule.get(side, [])
        found.setdefault(ports, set()).update({who(one) for one in there} or {"anybody"})
    return found


def who(peer: Object) -> str:
    """A peer in a word."""
    if "podSelector" in peer:
        return peer["podSelector"]["matchLabels"]["app"]
    if "namespaceSelector" in peer:
        return "in " + peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    return peer["ipBlock"]["cidr"]
