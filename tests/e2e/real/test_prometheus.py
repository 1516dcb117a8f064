"""A real Prometheus asks a platform that has much to do: every expression of dashboards and alerts
is answered, and the objectives are measured."""

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import yaml

from tests.chaos.workflow import genome
from tests.deploy.dashboards import MONITORING
from tests.deploy.expressions import every_expression, unanswered
from tests.deploy.files import ROOT
from tests.e2e.program import PATIENCE, run, server, started, wait_for
from tests.e2e.real.installation import Installation
from tests.e2e.server_process import post
from tests.services.kafka import free_port
from tests.services.prometheus import Prometheus, own_server

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
CHROMOSOMES = 10
#: Times faster than a second for each task.
SPEED = 100
WORK_SECONDS = 240
PRICES = """
version: "1"
models: {gpt-4-turbo: {prompt: 1000000, cached: 1000000, completion: 1000000}}
"""
#: Beside the workflow: what other panels are about.
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("register_agent", {"id": "ann", "name": "Ann", "kind": "human", "capabilities": []}),
    ("form_team", {"id": "talkers", "goal": "Talk", "members": [{"agent_id": "ann"}]}),
    ("open_conversation", {"id": "talk", "topic": "Talk", "team_id": "talkers"}),
    ("send_message", {"conversation_id": "talk", "agent_id": "ann", "text": "Hello"}),
    ("close_conversation", {"conversation_id": "talk"}),
    (
        "define_template",
        {
            "name": "writer",
            "kind": "llm",
            "capabilities": [{"name": "writing"}],
            "settings": {"instructions": "Write."},
        },
    ),
    ("create_task", {"id": "text", "title": "Text", "requires": [{"capability": "writing"}]}),
)


class Watched(NamedTuple):
    """A platform and a Prometheus that has seen it work."""

    folder: Path
    prometheus: Prometheus


def recorded(file: Path) -> None:
    """Write the 1000 Genomes workflow as one that took a second for each task."""
    steps = genome(CHROMOSOMES)
    children: dict[str, list[str]] = {step.name: [] for step in steps}
    for step in steps:
        for name in step.after:
            children[name].append(step.name)
    content = {
        "name": "1000genome",
        "schemaVersion": "1.5",
        "workflow": {
            "specification": {
                "tasks": [
                    {
                        "id": step.name,
                        "name": step.name,
                        "parents": step.after,
                        "children": children[step.name],
                    }
                    for step in steps
                ]
            },
            "execution": {
                "tasks": [
                    {
                        "id": step.name,
                        "runtimeInSeconds": 1.0,
                        "command": {"program": step.program},
                    }
                    for step in steps
                ]
            },
        },
    }
    file.write_text(json.dumps(content), "utf-8")


@contextlib.contextmanager
def writer(folder: Path, url: str, metrics_port: int) -> Generator[None]:
    """A worker of that server whose model is a stand-in, at work."""
    (folder / "prices.yaml").write_text(PRICES, "utf-8")
    with started(folder, "stand-in-model", "--json") as stand_in:
        assert stand_in.stdout is not None
        variables = {
            "AGENT_ORCHESTRATION_SERVER": url,
            "OPENAI_BASE_URL": json.loads(stand_in.stdout.readline())["base_url"],
            "OPENAI_API_KEY": "only-for-tests",
            "OPENAI_MODEL": "gpt-4-turbo",
        }
        words = ("worker", "--template", "writer", "--prices", "prices.yaml", "--json")
        with started(
            folder, *words, "--metrics-port", str(metrics_port), more=variables
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline(), "it ended before it was at work"
            yield


@contextlib.contextmanager
def asked(folder: Path, *ports: int) -> Generator[Prometheus]:
    """A Prometheus with the settings of the development stack, which asks more often, and the
    processes at these ports."""
    settings = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text("utf-8"))
    [job] = settings["scrape_configs"]
    targets = [f"127.0.0.1:{port}" for port in ports]
    often = {"scrape_interval": "1s", "static_configs": [{"targets": targets}]}
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yaml")],
        "scrape_configs": [{"job_name": job["job_name"], **often}],
    }
    with own_server(folder / "prometheus", config) as prometheus:
        wait_for(lambda: len(prometheus.query("up == 1")) == len(ports), "all processes to answer")
        yield prometheus


def work(folder: Path, url: str) -> None:
    """The workflow; the calls were made before."""
    recorded(folder / "genome.json")
    words = ("run", "genome.json", "--speed", str(SPEED), "--agents", "10", "--json")
    with started(folder, *words, more={"AGENT_ORCHESTRATION_SERVER": url}) as process:
        told, _ = process.communicate(timeout=WORK_SECONDS)
    assert process.returncode == 0
    assert json.loads(told)["tasks"]["by_status"] == {"completed": len(genome(CHROMOSOMES))}


def prepare(url: str) -> None:
    """Make the calls."""
    with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
        for tool, arguments in CALLS:
            status, told = post(http, tool, arguments)
            assert status == 200, (tool, told)
        # The rules say no.
        assert post(http, "create_task", {"id": "text", "title": "Another"})[0] == 422


def seen(prometheus: Prometheus) -> Callable[[], bool]:
    """Whether Prometheus knows of the last that was done."""

    def known() -> bool:
        texts = prometheus.query('events_total{type="TaskCompleted"}')
        done = sum(count for _, count in texts)
        return done == len(genome(CHROMOSOMES)) + 1 and bool(
            prometheus.query("sum(rate(model_cost_usd_total[5m]))")
        )

    return known


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("embedded")
    own = free_port()
    with server(folder) as (_, told):
        prepare(told["url"])
        port = int(told["url"].rpartition(":")[2])
        with writer(folder, told["url"], own), asked(folder, port, own) as prometheus:
            work(folder, told["url"])
            wait_for(seen(prometheus), "the work to be known")
            yield Watched(folder, prometheus)


@pytest.fixture(scope="module")
def in_many(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    ports = [free_port(), free_port()]
    parts = [
        installation.processor(f"p{port}", words=("--metrics-port", str(port))) for port in ports
    ]
    front = installation.server("server")
    for process in (*parts, front):
        wait_for(process.ready, f"{process.name} to be ready")
    prepare(front.url)
    own, port = free_port(), int(front.url.rpartition(":")[2])
    # Clients have no settings but the server's address.
    folder = tmp_path_factory.mktemp("clients")
    with writer(folder, front.url, own), asked(folder, port, own, *ports) as prometheus:
        work(folder, front.url)
        wait_for(seen(prometheus), "the work to be known")
        yield Watched(folder, prometheus)


@pytest.fixture(params=["in_one_process", "in_many"])
def watched(request: pytest.FixtureRequest) -> Watched:
    return request.getfixturevalue(request.param)


def test_every_expression_has_data_or_asks_for_what_never_happened(watched: Watched) -> None:
    problems = {one: unanswered(watched.prometheus, one.expression) for one in every_expression()}
    assert {one: found for one, found in problems.items() if found} == {}


@pytest.mark.parametrize(
    ("expression", "empty"),
    [
        ("sum(rate(no_such_total[5m])) > 1", "sum ( rate ( no_such_total [5m] ) )"),
        (
            "up == 1 and sum by (type) (events_total) / sum by (tool) (tool_calls_total) > 0",
            "sum by ( type ) ( events_total ) / sum by ( tool ) ( tool_calls_total )",
        ),
    ],
)
def test_what_nobody_exports_and_what_never_fits_is_found(
    watched: Watched, expression: str, empty: str
) -> None:
    assert unanswered(watched.prometheus, expression) == [empty]


def test_what_was_done_is_counted_once(watched: Watched) -> None:
    expected = {
        'commands_total{command="CompleteTask",outcome="accepted"}': len(genome(CHROMOSOMES)) + 1,
        'events_total{type="TeamFormed"}': 1,
        'events_total{type="ConversationClosed"}': 1,
        'model_calls_total{outcome="answered"}': 1,
    }
    found = {name: sum(n for _, n in watched.prometheus.query(name)) for name in expected}
    assert found == expected


def test_every_alert_is_evaluated(watched: Watched) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = watched.prometheus.ask("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_for(lambda: all(one["health"] != "unknown" for one in rules()), "all to be evaluated")
    assert rules()
    assert {one["name"]: one.get("lastError") for one in rules() if one["health"] != "ok"} == {}


def test_the_objectives_are_measured_as_prometheus_does(watched: Watched) -> None:
    url = watched.prometheus.url
    done = run(watched.folder, "slo", "--prometheus", url, "--window", "1h", "--json")
    told = json.loads(done.stdout)
    targets = {one["name"]: one for one in told["targets"]}
    assert done.returncode == (0 if told["ok"] else 1)
    [(_, expected)] = watched.prometheus.query(
        "histogram_quantile(0.95, sum by (le) (rate(tool_call_duration_seconds_bucket"
        '{tool!~"claim_task|list_messages|wait_for_tasks"}[1h])))'
    )
    assert targets["orchestrator_p95"]["value"] == pytest.approx(expected, rel=0.2)
    for name in ("gateway_p50", "gateway_p99", "messages_p95"):
        assert targets[name]["value"] > 0
    for name, value in (("api_errors", 0), ("availability", 1)):
        assert (targets[name]["state"], targets[name]["value"]) == ("met", value)
    assert targets["signups"]["state"] == "not measured"
