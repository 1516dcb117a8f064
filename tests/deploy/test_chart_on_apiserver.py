"""The chart on a real kube-apiserver: installed, upgraded, rolled back and removed. There are no
nodes, so this shows that the API takes every object, and every pod where it is strict.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.chart import (
    BROUGHT_ALONG,
    CHART,
    DEFAULT,
    PROFILES,
    RELEASE,
    Object,
    Profile,
    container,
    rendered,
)
from tests.services import go
from tests.services.apiserver import ApiServer, JobEnder, Refused, own_server
from tests.services.run import needed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("AO_TEST_APISERVER" not in os.environ, reason="see `make test-deploy`"),
]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.file)

#: Where the objects of a kind are.
PLACES = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}
KEPT = {("PersistentVolumeClaim", f"agent-orchestration-{name}") for name in ("blobs", "backups")}
UPGRADED = "--set=image.tag=1.2.3"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with own_server(tmp_path_factory.mktemp("kubernetes") / "api") as started:
        yield started


class Namespace:
    """A namespace where pods must be restricted, and Helm in it."""

    def __init__(self, server: ApiServer, name: str, home: Path) -> None:
        self.server, self.name, self._home = server, name, home
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        server.ask("POST", "/api/v1/namespaces", {"metadata": metadata})
        self.create("ServiceAccount", {"metadata": {"name": "default"}})

    def create(self, kind: str, one: Object) -> None:
        self.server.ask("POST", PLACES[kind].format(self.name), one)

    def get(self, kind: str, name: str) -> Object:
        return self.server.ask("GET", f"{PLACES[kind].format(self.name)}/{name}")

    def change(self, kind: str, name: str, body: Object) -> None:
        self.server.ask("PATCH", f"{PLACES[kind].format(self.name)}/{name}", body)

    def names(self) -> set[tuple[str, str]]:
        """The kinds and names of what the chart made."""
        made = f"labelSelector=app.kubernetes.io/part-of={RELEASE}"
        return {
            (kind, one["metadata"]["name"])
            for kind, place in PLACES.items()
            for one in self.server.ask("GET", f"{place.format(self.name)}?{made}")["items"]
        }

    def helm(self, verb: str, *arguments: str | Path) -> None:
        with needed("helm"):
            program = go.found("helm")
        done = subprocess.run(
            [program, verb, *arguments, f"--namespace={self.name}", "--timeout=60s"],
            env={"HOME": str(self._home), "KUBECONFIG": str(self.server.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def apply(self, verb: str, profile: Profile, *more: str) -> None:
        """Install or upgrade with a profile's values."""
        given = [f"--set={name}={value}" for name, value in profile.secrets]
        self.helm(verb, RELEASE, CHART, f"--values={CHART / profile.file}", *given, *more)

    def image(self, name: str) -> str:
        return container(self.get("Deployment", name))["image"]


@pytest.fixture
def namespace(server: ApiServer, request: pytest.FixtureRequest, tmp_path: Path) -> Namespace:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-").lower()
    return Namespace(server, name[-40:].strip("-"), tmp_path)


@pytest.fixture
def jobs(server: ApiServer) -> Iterator[JobEnder]:
    with JobEnder(server) as ender:
        yield ender


VERBS = [["topics", "create"], ["schema", "migrate"]]


@every_profile
def test_it_is_installed_upgraded_rolled_back_and_removed(
    profile: Profile, namespace: Namespace, jobs: JobEnder
) -> None:
    namespace.apply("install", profile)
    lasting = {
        (one["kind"], one["metadata"]["name"])
        for one in rendered(profile).objects
        if "helm.sh/hook" not in one["metadata"].get("annotations", {})
    }
    assert namespace.names() == lasting
    first = namespace.image("mcp-server")
    namespace.apply("upgrade", profile, UPGRADED)
    assert namespace.image("mcp-server") == "agent-orchestration/mcp-server:1.2.3"
    assert namespace.image("core-services") == "agent-orchestration/event-processor:1.2.3"
    # Jobs of a first installation are no part of what follows it.
    assert namespace.names() == {one for one in lasting if one[0] != "Job"}
    namespace.helm("rollback", RELEASE)
    assert namespace.image("mcp-server") == first
    namespace.helm("uninstall", RELEASE)
    assert namespace.names() == KEPT
    # The volumes belong to the next installation.
    namespace.apply("install", profile)
    assert namespace.names() == lasting


@every_profile
def test_topics_and_schema_are_made_at_each_installation_and_upgrade(
    profile: Profile, namespace: Namespace, jobs: JobEnder
) -> None:
    namespace.apply("install", profile)
    namespace.apply("upgrade", profile, UPGRADED)
    assert sorted(jobs.ended) == sorted(VERBS * 2)


def test_an_upgrade_leaves_the_replicas_to_the_autoscaler(
    namespace: Namespace, jobs: JobEnder
) -> None:
    namespace.apply("install", DEFAULT)
    namespace.change("Deployment", "mcp-server", {"spec": {"replicas": 8}})
    namespace.apply("upgrade", DEFAULT, UPGRADED)
    assert namespace.get("Deployment", "mcp-server")["spec"]["replicas"] == 8


def test_brokers_and_servers_that_are_brought_along_come_and_go(
    namespace: Namespace, jobs: JobEnder
) -> None:
    more = [f"--set={name}={value}" for name, value in BROUGHT_ALONG.items()]
    namespace.apply("install", DEFAULT, *more)
    for name in ("neo4j", "kafka"):
        assert namespace.get("StatefulSet", name)["spec"]["replicas"] == 3
    namespace.helm("uninstall", RELEASE)
    assert namespace.names() == KEPT


EVERYTHING = {
    **BROUGHT_ALONG,
    "workers.enabled": "true",
    "mcpServer.token.value": "only-for-tests-1",
}


@pytest.fixture(scope="module")
def strict(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    found = Namespace(server, "strict", tmp_path_factory.mktemp("strict"))
    found.create("ServiceAccount", {"metadata": {"name": "agent-orchestration"}})
    return found


@pytest.mark.parametrize(
    "name", ["mcp-server", "core-services", "worker", "neo4j", "kafka", "topics-create", "backup"]
)
def test_the_api_takes_every_pod_where_it_is_strict(name: str, strict: Namespace) -> None:
    found = rendered(DEFAULT, EVERYTHING).pods()
    [pod] = [one for key, one in found.items() if key.endswith((f"/{name}", f"-{name}"))]
    place = "/api/v1/namespaces/strict/pods?dryRun=All"
    one: Object = {"metadata": {**pod["metadata"], "name": "pod"}, "spec": pod["spec"]}
    strict.server.ask("POST", place, one)
    loose: Object = {**one, "spec": {**one["spec"], "hostNetwork": True}}
    with pytest.raises(Refused, match="violates PodSecurity"):
        strict.server.ask("POST", place, loose)
