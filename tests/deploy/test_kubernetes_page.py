"""The page about the chart: what it names is there, and its sums are right."""

import re

import pytest
import yaml

from tests.deploy.chart import CHART
from tests.deploy.files import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
SIZE = re.compile(r"(\d+), (\d+) GB(, three times)?")


def test_every_group_of_values_is_named() -> None:
    groups = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert [name for name in groups if f"`{name}" not in PAGE] == []


def machines(column: int) -> dict[str, tuple[int, int, int]]:
    """vCPUs, GB and how often, by part, of a column of the page's table of machines."""
    table = PAGE.partition("Machines for it")[2].partition("\n\nWith one")[0]
    found: dict[str, tuple[int, int, int]] = {}
    for line in table.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) == 3 and (size := SIZE.fullmatch(cells[column])):
            found[cells[0]] = (int(size[1]), int(size[2]), 3 if size[3] else 1)
    return found


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        (1, {"MCP": (2, 4, 1), "core": (2, 4, 1), "Neo4j": (2, 4, 1), "Kafka": (2, 2, 1)}),
        (
            2,
            {
                "MCP": (4, 8, 3),
                "core": (4, 8, 3),
                "Neo4j": (8, 32, 3),
                "Kafka": (4, 8, 3),
                "load balancer": (2, 4, 1),
            },
        ),
    ],
    ids=["development", "production"],
)
def test_the_machines_of_the_page_add_up(
    column: int, parts: dict[str, tuple[int, int, int]]
) -> None:
    found = machines(column)
    together = found.pop("together")
    assert found == parts
    assert together[0] == sum(vcpus * times for vcpus, _, times in found.values())
    assert together[1] == sum(memory * times for _, memory, times in found.values())


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
