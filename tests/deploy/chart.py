"""The Helm chart as data: what `helm template` makes of it, and the objects of that."""

import base64
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.deploy.files import ROOT
from tests.services import go
from tests.services.run import needed

CHART = ROOT / "helm" / "agent-orchestration"
RELEASE = "agent-orchestration"
NAMESPACE = "agents"

Object = dict[str, Any]
Settings = tuple[tuple[str, str], ...]


class Profile(NamedTuple):
    """A file of values, and what it does not say and nobody may guess."""

    file: str
    secrets: Settings


DEFAULT = Profile(
    "values.yaml",
    (("neo4j.password", "only-for-tests"), ("auth.jwt.secret", "only-for-tests-" * 3)),
)
SMALL = Profile("values-small.yaml", (("neo4j.password", "only-for-tests"),))
PRODUCTION = Profile("values-production.yaml", ())
PROFILES = (DEFAULT, SMALL, PRODUCTION)

#: Servers of the chart's own instead of those that are there already.
BROUGHT_ALONG = {
    "neo4j.external.enabled": "false",
    "neo4j.acceptLicenseAgreement": "yes",
    "kafka.external.enabled": "false",
}


class Chart(NamedTuple):
    """What was rendered."""

    objects: tuple[Object, ...]

    def named(self, kind: str, name: str) -> Object:
        """The one object of that kind and name."""
        [found] = [one for one in self.of(kind) if one["metadata"]["name"] == name]
        return found

    def of(self, *kinds: str) -> list[Object]:
        """All objects of these kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def names(self, kind: str) -> set[str]:
        """The names of all objects of a kind."""
        return {one["metadata"]["name"] for one in self.of(kind)}

    def pods(self) -> dict[str, Object]:
        """Every pod that comes of it, by the kind and name of what makes it."""
        ways = {
            "Deployment": ("template",),
            "StatefulSet": ("template",),
            "Job": ("template",),
            "CronJob": ("jobTemplate", "spec", "template"),
            "Pod": (),
        }
        found: dict[str, Object] = {}
        for one in self.of(*ways):
            pod = one
            for step in ("spec", *ways[one["kind"]]) if ways[one["kind"]] else ():
                pod = pod[step]
            claims = one["spec"].get("volumeClaimTemplates", [])
            found[f"{one['kind']}/{one['metadata']['name']}"] = _with_volumes(pod, claims)
        return found


def _with_volumes(pod: Object, claims: list[Object]) -> Object:
    """A pod with the volumes that a StatefulSet gives it."""
    names = [one["metadata"]["name"] for one in claims]
    more = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in names]
    volumes = [*pod["spec"].get("volumes", []), *more]
    return {**pod, "spec": {**pod["spec"], "volumes": volumes}}


def container(workload: Object) -> Object:
    """The one container of a Deployment or StatefulSet."""
    [found] = workload["spec"]["template"]["spec"]["containers"]
    return found


def variables(of: Object) -> dict[str, Any]:
    """A container's variables: text, or (Secret, key)."""
    found: dict[str, Any] = {}
    for one in of.get("env", ()):
        secret = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = (secret["name"], secret["key"]) if secret else one.get("value")
    return found


def decoded(secret: Object) -> dict[str, str]:
    """What a Secret holds."""
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Helm without a cluster. Skips the test where it was not built; in CI that is a
    failure."""
    with needed("helm"):
        program = go.found("helm")
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        # No settings, plugins or clusters of whoever runs the tests.
        env={"HELM_PLUGINS": "", "KUBECONFIG": "", "HOME": str(ROOT / "absent")},
        check=False,
    )


def template(
    profile: Profile,
    more: Mapping[str, str] | None = None,
    *options: str,
    chart: Path = CHART,
) -> subprocess.CompletedProcess[str]:
    """`helm template` with a profile's values, and more on top of them."""
    given = {**dict(profile.secrets), **(more or {})}
    return helm(
        "template",
        RELEASE,
        chart,
        f"--namespace={NAMESPACE}",
        f"--values={CHART / profile.file}",
        *(f"--set={name}={value}" for name, value in given.items()),
        *options,
    )


@cache
def _objects(profile: Profile, more: Settings, options: tuple[str, ...]) -> tuple[Object, ...]:
    done = template(profile, dict(more), *options)
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def rendered(profile: Profile, more: Mapping[str, str] | None = None, *options: str) -> Chart:
    """The objects that a profile makes, with more values on top of it."""
    return Chart(_objects(profile, tuple((more or {}).items()), options))


def refusal(profile: Profile, more: Mapping[str, str]) -> str:
    """What Helm says where it refuses these values."""
    done = template(profile, more)
    assert done.returncode != 0, "it was not refused"
    return done.stderr
