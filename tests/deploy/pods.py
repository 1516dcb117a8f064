"""Pods of the chart as a kubelet makes containers of them, on this machine."""

import contextlib
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.deploy.chart import Chart, Object, decoded, variables
from tests.deploy.container import Container, Rights, Volume
from tests.deploy.files import environment, last, words
from tests.services.kafka import free_port

#: Where Python's image looks for programs.
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALLED = "/opt/agent-orchestration"
GRACE_SECONDS = 30
METRICS_PORT = 9090
ANALYTICS_PORT = 8200


class Node:
    """Where the pods of a chart run, with what is installed in `tree`. They find `hosts` by
    these names. Volumes are kept in `folder`. Ports are those of this machine: the server has
    `port` in place of its own, and every other pod others of its own."""

    def __init__(
        self,
        chart: Chart,
        tree: Path,
        folder: Path,
        *,
        hosts: Mapping[str, str],
        port: int,
    ) -> None:
        self._pods = chart.pods()
        self._chart = chart
        self._tree = tree
        self._folder = folder
        self._port = port
        self._metrics_ports = {pod: free_port() for pod in self._pods}
        self._analytics_port = free_port()
        self._hosts = folder / "hosts"
        lines = {"localhost": "127.0.0.1", **hosts}.items()
        self._hosts.write_text("".join(f"{address} {name}\n" for name, address in lines), "utf-8")

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self._port}"

    def metrics_url(self, pod: str) -> str:
        """Where a pod that is no server has its metrics."""
        assert {"name": "metrics", "containerPort": METRICS_PORT} in self.manifest(pod)["ports"]
        return f"http://127.0.0.1:{self._metrics_ports[pod]}/metrics"

    def manifest(self, pod: str) -> Object:
        """What the chart says of a pod's one container."""
        [found] = self._pods[pod]["spec"]["containers"]
        return found

    def container(self, pod: str) -> Container:
        """A pod's container, not started."""
        manifest = self.manifest(pod)
        image = manifest["image"].rpartition(":")[0].rpartition("/")[2]
        command: list[str] = manifest.get("command") or words(last(image, "ENTRYPOINT"))
        arguments: list[str] = manifest.get("args") or []
        ports = {
            f"--metrics-port={METRICS_PORT}": f"--metrics-port={self._metrics_ports[pod]}",
            f"--port={ANALYTICS_PORT}": f"--port={self._analytics_port}",
        }
        return Container(
            pod.replace("/", "-").lower(),
            # What listens on all addresses of a pod listens on loopback here.
            [ports.get(one, one.replace("0.0.0.0", "127.0.0.1")) for one in (*command, *arguments)],
            self._folder,
            work=last(image, "WORKDIR"),
            variables=self._variables(image, manifest),
            volumes=self._volumes(pod),
            rights=self._rights(pod),
        )

    def probed(self, pod: str, container: Container, probe: str) -> bool:
        """What a probe of the pod says."""
        manifest = self.manifest(pod)
        asked = manifest[probe]
        seconds = asked["timeoutSeconds"]
        if "exec" in asked:
            try:
                return container.execute(asked["exec"]["command"], seconds=seconds).returncode == 0
            except subprocess.TimeoutExpired:
                return False
        ports = {one["name"]: one["containerPort"] for one in manifest["ports"]}
        here = self._port
        if ports[asked["httpGet"]["port"]] == ANALYTICS_PORT:
            here = self._analytics_port
        url = f"http://127.0.0.1:{here}{asked['httpGet']['path']}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            # Anything that is no success or redirection is raised.
            urllib.request.urlopen(url, timeout=seconds).close()
            return True
        return False

    def grace(self, pod: str) -> float:
        """How many seconds the pod may take to end."""
        return self._pods[pod]["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)

    def _variables(self, image: str, manifest: Object) -> dict[str, str]:
        # The home folder is that of the user whom the image makes.
        found = {"PATH": PATH, "HOME": "/data"}
        for name, value in environment(image).items():
            found[name] = value.replace("$PATH", PATH)
        for name, value in variables(manifest).items():
            if isinstance(value, str):
                found[name] = value.replace(f":{ANALYTICS_PORT}", f":{self._analytics_port}")
            elif value[0] in self._chart.names("Secret"):
                found[name] = decoded(self._chart.named("Secret", value[0]))[value[1]]
        return {**found, "MCP_SERVER_PORT": str(self._port)}

    def _volumes(self, pod: str) -> dict[str, Volume]:
        given = {one["name"]: one for one in self._pods[pod]["spec"].get("volumes", ())}
        mounted = {
            one["mountPath"]: Volume(
                self._source(pod, given[one["name"]], one.get("subPath")),
                one.get("readOnly", False),
            )
            for one in self.manifest(pod).get("volumeMounts", ())
        }
        # What is installed is a part of the root.
        tree = Volume(self._tree, self._rights(pod).read_only_root)
        return {INSTALLED: tree, "/etc/hosts": Volume(self._hosts, True), **mounted}

    def _source(self, pod: str, volume: Object, key: str | None) -> Path:
        """A volume's place on this machine, with owner and mode as for `fsGroup`."""
        if "configMap" in volume:
            assert key is not None
            name = volume["configMap"]["name"]
            file = self._folder / f"{name}-{key}"
            file.write_text(self._chart.named("ConfigMap", name)["data"][key], "utf-8")
            return file
        if "persistentVolumeClaim" in volume:
            folder = self._folder / volume["persistentVolumeClaim"]["claimName"]
        else:
            assert volume["emptyDir"] == {}, volume
            folder = self._folder / f"{pod.replace('/', '-')}-{volume['name']}"
        folder.mkdir(exist_ok=True)
        os.chown(folder, 0, self._pods[pod]["spec"]["securityContext"]["fsGroup"])
        folder.chmod(0o2775)
        return folder

    def _rights(self, pod: str) -> Rights:
        of_pod = self._pods[pod]["spec"]["securityContext"]
        security = {**of_pod, **self.manifest(pod)["securityContext"]}
        options: tuple[str, ...] = ()
        if not security["allowPrivilegeEscalation"]:
            options += ("--no-new-privs",)
        if security["capabilities"] == {"drop": ["ALL"]}:
            options += ("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
        return Rights(
            security["runAsUser"],
            security["runAsGroup"],
            (of_pod["fsGroup"],),
            options,
            security["readOnlyRootFilesystem"],
        )
