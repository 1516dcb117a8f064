"""The page about capacity: its figures are those that were measured, and its sums are right."""

import math
import re
from collections.abc import Callable

import pytest
import yaml

from tests.deploy.chart import CHART
from tests.deploy.files import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "capacity.md").read_text("utf-8")
SIZE = re.compile(r"(\d+), (\d+) GB(, three times)?")
DAY = 24 * 60 * 60
GIBIBYTE = 2**30


def table(text: str) -> list[list[str]]:
    """The cells of the table that follows this text, its head first."""
    lines = PAGE.partition(text)[2].partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


def rows(text: str) -> list[list[str]]:
    """Those below its head."""
    return table(text)[2:]


def number(text: str) -> float:
    """The number that a cell begins with; `M` are millions."""
    found = re.match(r"[\d,.]+", text)
    assert found is not None, text
    return float(found[0].replace(",", "")) * (1e6 if text.endswith(" M") else 1)


FIGURES = {name: number(value) for name, value, _ in rows("## Figures")}
MAKING = "memory of a backup that is made, for an event"
#: What is kept for so many days.
WEEK, MONTH, YEAR = 7, 31, 365


def machines(column: int) -> dict[str, tuple[int, int, int]]:
    """vCPUs, GB and how often, by part, of a column of the page's table of machines."""
    found: dict[str, tuple[int, int, int]] = {}
    for cells in rows("## Machines"):
        if size := SIZE.fullmatch(cells[column]):
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
def test_the_machines_add_up(column: int, parts: dict[str, tuple[int, int, int]]) -> None:
    found = machines(column)
    together = found.pop("together")
    assert found == parts
    assert together[0] == sum(vcpus * times for vcpus, _, times in found.values())
    assert together[1] == sum(memory * times for _, memory, times in found.values())


def test_the_figures_are_those_that_were_measured() -> None:
    source = ""
    for name, value, said in rows("## Figures"):
        if link := re.search(r"\((\w+\.md)", said):
            source = (DOCS / link[1]).read_text("utf-8")
        measured = re.match(r"[\d,.]+", value)
        assert measured is not None
        assert re.search(rf"(?<![\d.,]){re.escape(measured[0])}(?![\d,]|\.\d)", source), name


class Load:
    """A column of the examples."""

    def __init__(self, tasks: float, agents: float) -> None:
        self.tasks = tasks
        self.busiest = 10 * tasks / DAY
        self.events = 4 * YEAR * tasks
        self.live = tasks
        #: Lifecycles a second, a heartbeat for a quarter.
        self.lifecycles = self.busiest + agents / 80
        self.commands = 4 * tasks + agents * DAY / 20

    def cores(self, figure: str, times: float = 1) -> float:
        return FIGURES[figure] * times * self.lifecycles / 1000

    def disk(self) -> float:
        """Gigabytes of all brokers."""
        event, command = FIGURES["event on the log"], FIGURES["command on the log"]
        week = WEEK * (command * self.commands + event * 4 * self.tasks)
        return 3 * (event * self.events + week) / 1e9

    def state(self) -> float:
        """Gigabytes of what processors have of tenants."""
        live = FIGURES["live task in a processor"] * self.live
        remembered = FIGURES["command that is remembered for five minutes"]
        return (live + remembered * 300 * 4 * self.lifecycles) / 1e9

    def kept(self, figure: str, times: float = 1) -> float:
        """Gigabytes for all events."""
        return FIGURES[figure] * times * self.events / 1e9


EXAMPLES: dict[str, Callable[[Load], float]] = {
    "tasks a second when most is done": lambda load: load.busiest,
    "events of a year": lambda load: load.events,
    "lifecycles a second, with heartbeats": lambda load: load.lifecycles,
    "cores for servers": lambda load: load.cores("call over MCP", 4),
    "cores for processors": lambda load: load.cores("platform and clients, of a lifecycle"),
    "cores for brokers, three copies": lambda load: load.cores("Kafka, of a lifecycle", 3),
    "cores for the graph": lambda load: load.cores("Neo4j, of a lifecycle"),
    "GB of memory for the tenants' state": lambda load: load.state(),
    "GB of disk for the log, three copies": lambda load: load.disk(),
    "GB of disk for the graph": lambda load: load.kept("event in the graph"),
    "GB for the archive": lambda load: load.kept("event in the archive"),
    "GB for the backups of a month": lambda load: load.kept("event in a backup", MONTH),
    "GB of memory while a backup is made": lambda load: load.kept(MAKING),
}


def test_the_examples_follow_from_the_figures() -> None:
    tasks, _, agents, *others = table("### Examples")
    loads = [Load(*map(number, pair)) for pair in zip(tasks[1:], agents[1:], strict=True)]
    assert [name for name, *_ in others] == list(EXAMPLES)
    for name, *cells in others:
        for load, cell in zip(loads, cells, strict=True):
            expected = EXAMPLES[name](load)
            # Two digits.
            assert number(cell) == pytest.approx(expected, rel=0.051), (name, expected)


def test_what_the_chart_holds_follows_from_its_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    jobs = values["cronJobs"]["resources"]["limits"]["memory"]
    sizes = [
        (values["kafka"]["storage"]["size"], FIGURES["event on the log"]),
        (values["neo4j"]["storage"]["size"], FIGURES["event in the graph"]),
        (values["storage"]["backups"]["size"], FIGURES["event in a backup"] * MONTH),
        (jobs, FIGURES[MAKING]),
    ]
    for (_, size, events), (given, each) in zip(rows("### What the chart"), sizes, strict=True):
        assert size == given
        expected = int(given.removesuffix("Gi")) * GIBIBYTE / each
        assert number(events) == pytest.approx(expected, rel=0.051)


def test_what_more_of_everything_does_follows_from_its_figures() -> None:
    for wanted, processors, brokers, graphs in rows("k installations"):
        rate = number(wanted)
        assert int(processors) == math.ceil(rate / 1250)
        assert int(brokers) == math.ceil(12 * rate / 17_000 * 3)
        assert int(graphs) == math.ceil(rate / 1300)
