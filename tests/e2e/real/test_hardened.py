"""What is installed does its work in containers that may do nothing else: the pods of the chart,
with commands, variables, volumes and rights as they are rendered, on a real Kafka and Neo4j.

The tree is what the images' build stage makes. Each process is the first of its container, user
10001 without capabilities, in a root that is read-only and holds nothing of this machine but the
system, Python and the volumes. Names of hosts are those of the chart; only the server's port is
another, and it listens on loopback. `tests.deploy.container` says what is not shown.
"""

import contextlib
import json
import secrets
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from mcp_types import TextResourceContents

from agent_orchestration.cli.failure import TERMINATED
from tests.deploy import build_stage
from tests.deploy.chart import DEFAULT, rendered
from tests.deploy.container import Container, require_containers
from tests.deploy.files import last, words
from tests.deploy.pods import INSTALLED, Node
from tests.e2e.journey import Journey
from tests.e2e.program import PATIENCE, wait_for
from tests.e2e.real.installation import empty
from tests.e2e.server_process import call
from tests.services import kafka, neo4j

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(600)]
SERVER, PROCESSOR, WORKER = "Deployment/mcp-server", "Deployment/core-services", "Deployment/worker"
ANALYTICS = "Deployment/analytics"
BEFORE = ("Job/topics-create", "Job/schema-migrate")
AFTER = (
    "Pod/agent-orchestration-test-ready",
    "Pod/agent-orchestration-test-doctor",
    "CronJob/agent-orchestration-backup",
    "CronJob/agent-orchestration-verify",
    "CronJob/agent-orchestration-compare",
)
#: Servers and processors are stopped by SIGTERM; a worker is drained.
ENDED = {SERVER: TERMINATED, PROCESSOR: TERMINATED, ANALYTICS: TERMINATED, WORKER: 0}
USER, PASSWORD = "ada", "correct horse battery"
RIGHTS = {"CapPrm": "0", "CapEff": "0", "CapBnd": "0", "CapAmb": "0", "NoNewPrivs": "1"}


def installed(folder: Path) -> Path:
    """What the build stage makes, whose programs know where the image has them."""
    require_containers()
    tree = build_stage.build(folder)
    program = tree / "bin" / "agent-orchestration"
    program.write_text(program.read_text("utf-8").replace(str(tree), INSTALLED, 1), "utf-8")
    return tree


def content(tree: Path) -> dict[str, tuple[int, int, int, int]]:
    """All files and folders with owner, mode, size and time of their last change."""
    found = ((path, path.lstat()) for path in tree.rglob("*"))
    return {
        str(path): (is_.st_uid, is_.st_mode, is_.st_size, is_.st_mtime_ns) for path, is_ in found
    }


def node(folder: Path, tree: Path, database: neo4j.Address) -> Node:
    """The chart on the servers of the tests, with everything of it that is not a server."""
    port = kafka.free_port()
    broker = urllib.parse.urlsplit(f"//{kafka.bootstrap_servers().partition(',')[0]}")
    graph = urllib.parse.urlsplit(database.uri)
    values = {
        # One broker keeps no three copies.
        "global.environment": "development",
        "kafka.numPartitions": "4",
        "config.kafka.prefix": f"hardened-{uuid.uuid4().hex[:12]}-",
        "kafka.external.bootstrapServers": f"kafka-service:{broker.port}",
        "neo4j.external.uri": f"neo4j://neo4j-service:{graph.port}",
        "neo4j.password": database.password,
        "auth.jwt.secret": secrets.token_hex(32),
        "mcpServer.token.value": secrets.token_hex(32),
        "mcpServer.tools": "all",
        "service.port": str(port),
        "workers.enabled": "true",
        "analytics.enabled": "true",
    }
    hosts = {
        "kafka-service": socket.gethostbyname(broker.hostname or ""),
        "neo4j-service": socket.gethostbyname(graph.hostname or ""),
        "mcp-server-service": "127.0.0.1",
        "analytics-service": "127.0.0.1",
    }
    return Node(rendered(DEFAULT, values), tree, folder, hosts=hosts, port=port)


def check_rights(container: Container, volumes: set[str]) -> None:
    """It may do nothing, and write nowhere but in its volumes and what the system shows of it."""
    lines = Path(f"/proc/{container.pid}/status").read_text("utf-8").splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert {name: status[name][0].lstrip("0") or "0" for name in RIGHTS} == RIGHTS
    assert set(status["Uid"] + status["Gid"] + status["Groups"]) == {"10001"}
    mounts = container.execute(["cat", "/proc/self/mounts"]).stdout.splitlines()
    fields = [line.split() for line in mounts]
    assert {one[1] for one in fields if "rw" in one[3].split(",")} == {"/proc", *volumes}
    refused = container.execute(["touch", INSTALLED, "/written"])
    assert refused.stderr.count("Read-only file system") == 2
    assert container.execute(["touch", *(f"{one}/written" for one in volumes)]).returncode == 0


def check_probes(node: Node, pod: str, container: Container) -> None:
    """All its probes succeed, each in the time that it has, if not at once."""
    for probe in sorted({"livenessProbe", "readinessProbe"} & set(node.manifest(pod))):
        wait_for(partial(node.probed, pod, container, probe), f"the {probe} of {pod}")


def measured(url: str) -> bool:
    """Whether a process tells Prometheus of itself."""
    with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url) as answer:
        return b"process_cpu_seconds_total" in answer.read()
    return False


def check_health(image: str, container: Container) -> None:
    """The image's own check of its health finds nothing wrong."""
    _, _, command = last(image, "HEALTHCHECK").partition("CMD ")
    done = container.execute(words(command))
    assert done.returncode == 0, done.stderr


def logged_in(server: Container, url: str) -> str:
    """The access token of the first user, whom somebody in the server's container adds."""
    added = server.execute(["agent-orchestration", "users", "add", USER, "admin"], stdin=PASSWORD)
    assert added.returncode == 0, added.stderr
    form = {"grant_type": "password", "username": USER, "password": PASSWORD}
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{url}/token", body) as answer:
        return json.load(answer)["access_token"]


def counted(url: str, bearer: dict[str, str]) -> bool:
    """Whether the server is told what happened by who counts it."""
    json_body = {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}/api/v1/tools/get_analytics", b'{"measure": "tasks"}', bearer | json_body
    )
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request) as answer:
        return (json.load(answer)["result"]["total"].get("tasks_completed") or 0) > 0
    return False


def check_end(node: Node, pod: str, container: Container) -> None:
    """It ends in the time that it is given, after what is to be done before."""
    began = time.monotonic()
    if "lifecycle" in node.manifest(pod):
        before = node.manifest(pod)["lifecycle"]["preStop"]["exec"]["command"]
        assert container.execute(before).returncode == 0
    left = node.grace(pod) - (time.monotonic() - began)
    assert container.terminate(left) == ENDED[pod]
    assert "CRITICAL" not in container.said.read_text("utf-8")


async def test_pods_of_the_chart_work_in_containers_that_may_do_nothing_else(
    tmp_path: Path, database: neo4j.Address
) -> None:
    empty(database)
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        tree = installed(Path(folder))
        before = content(tree)
        here = node(tmp_path, tree, database)
        for pod in BEFORE:
            here.container(pod).run()
        running = {pod: here.container(pod) for pod in (PROCESSOR, ANALYTICS, SERVER, WORKER)}
        for pod, container in running.items():
            stack.callback(container.kill)
            container.start()
            check_probes(here, pod, container)
        for pod in (PROCESSOR, ANALYTICS, WORKER):
            wait_for(partial(measured, here.metrics_url(pod)), f"the metrics of {pod}")
        check_health("event-processor", running[PROCESSOR])
        check_health("mcp-server", running[SERVER])
        check_rights(running[PROCESSOR], {"/data", "/data/blobs", "/tmp"})
        check_rights(running[SERVER], {"/data", "/data/blobs", "/tmp"})
        check_rights(running[ANALYTICS], {"/data", "/data/blobs", "/tmp"})
        check_rights(running[WORKER], {"/data", "/tmp"})
        bearer = {"Authorization": f"Bearer {logged_in(running[SERVER], here.url)}"}
        transport = StreamableHttpTransport(f"{here.url}/mcp", headers=bearer)
        async with Client(transport, timeout=PATIENCE) as client:
            await Journey(client, "hardened").run()
            large = {"text": "x" * 2_000_000}
            made = await call(client, "create_task", title="With a blob", payload=large)
            [blob] = await client.read_resource(f"blob://{made['task']['payload']['$blob']}")
        assert isinstance(blob, TextResourceContents)
        assert json.loads(blob.text) == large
        wait_for(partial(counted, here.url, bearer), "what happened to be counted")
        for pod in AFTER:
            here.container(pod).run()
        assert any((tmp_path / "agent-orchestration-backups").iterdir())
        for pod, container in reversed(running.items()):
            check_end(here, pod, container)
        assert content(tree) == before
