"""The page about the chart: what it names is there."""

import pytest
import yaml

from tests.deploy.chart import CHART
from tests.deploy.files import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")


def test_every_group_of_values_is_named() -> None:
    groups = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert [name for name in groups if f"`{name}" not in PAGE] == []


def test_what_the_platform_asks_for_by_default_is_said() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    asked = [
        (values[part]["replicas"], values[part]["resources"]["requests"])
        for part in ("mcpServer", "coreServices")
    ]
    cpus = sum(times * int(one["cpu"]) for times, one in asked)
    memory = sum(times * int(one["memory"].removesuffix("Gi")) for times, one in asked)
    assert f"asks for {cpus} CPUs and {memory}Gi" in PAGE


@pytest.mark.parametrize(
    "figures",
    [
        "--cidr-block 10.0.0.0/16|Value=AgentOrchestrationVPC|--version 1.23|--region us-west-2",
        "--nodegroup-name standard-nodes|--node-type t3.xlarge|--nodes 3 |--nodes-min 3",
        "--nodes-max 10|--with-oidc|--managed",
        "--num-nodes 3|--machine-type e2-standard-4|--region us-central1",
        "--resource-group myResourceGroup|--node-count 3|--node-vm-size Standard_DS3_v2",
        "--enable-addons monitoring|--generate-ssh-keys",
    ],
)
def test_the_commands_of_the_clouds_have_their_figures(figures: str) -> None:
    assert [one for one in figures.split("|") if one not in PAGE] == []
