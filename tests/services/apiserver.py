"""A Kubernetes API without nodes: a real kube-apiserver and its etcd, which Go builds once, into a
folder outside the tree.

It stores and checks what it is given, and nothing happens of it: there are no controllers, so no
pod starts, and Jobs end because `JobEnder` says so.
"""

import hashlib
import json
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.services.go import BUILD_SECONDS, go
from tests.services.jars import NotHere, cache_folder, made_once
from tests.services.kafka import free_port
from tests.services.run import needed
from tests.services.starting import wait_until_it_answers

SOURCES = Path(__file__).parents[2] / ".ci" / "apiserver"
ETCD, SERVER = "go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver"
START_SECONDS = 120
ANSWER_SECONDS = 30
TOKEN = "only-for-tests"

Object = dict[str, Any]


def programs() -> Path:
    """The folder with `kube-apiserver` and `server` (etcd), built when it is not there from what
    go.sum says. Raises `NotHere`."""
    digest = hashlib.sha256((SOURCES / "go.sum").read_bytes()).hexdigest()
    return made_once(cache_folder() / "apiserver" / digest[:12], _build)


def _build(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        found = Path(work) / "found"
        found.mkdir()
        answer = subprocess.run(
            [go(), "build", "-mod=readonly", "-ldflags", _linked(), "-o", found, ETCD, SERVER],
            cwd=SOURCES,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if answer.returncode:
            raise NotHere(f"Go could not build kube-apiserver: {answer.stderr[-500:].strip()}")
        found.rename(folder)


def _linked() -> str:
    """As in published builds: the version, which charts ask for."""
    release = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (SOURCES / "go.mod").read_text("utf-8"))
    assert release is not None
    return f"-X k8s.io/component-base/version.gitVersion={release[1]}"


class ApiServer:
    """A running API in a new folder; whoever has `kubeconfig` may do everything."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kubeconfig = home / "kubeconfig.json"
        found = programs()
        home.mkdir(parents=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (home / "accounts.pem").write_bytes(pem)
        (home / "tokens.csv").write_text(f"{TOKEN},tester,tester,system:masters\n", "utf-8")
        store = f"http://127.0.0.1:{free_port()}"
        self._start(found / "server", *_etcd_flags(home, store))
        self._start(found / "kube-apiserver", *_server_flags(home, store, self._port))

    def _start(self, program: Path, *flags: str) -> None:
        with (self._home / f"{program.name}.txt").open("wb") as file:
            self._processes.append(
                subprocess.Popen([program, *flags], cwd=self._home, stdout=file, stderr=file)
            )

    def wait(self) -> None:
        """Wait until it is ready, and write `kubeconfig`."""
        wait_until_it_answers(
            lambda: self.ask("GET", "/readyz"),
            self._processes,
            self._home / "kube-apiserver.txt",
            "kube-apiserver",
            START_SECONDS,
        )
        self._write_kubeconfig()

    def _write_kubeconfig(self) -> None:
        cluster = {
            "server": f"https://127.0.0.1:{self._port}",
            "certificate-authority": str(self._certificate),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tester", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tester"}}],
            "current-context": "tests",
        }
        self.kubeconfig.write_text(json.dumps(content), "utf-8")

    @property
    def _certificate(self) -> Path:
        return self._home / "certificates" / "apiserver.crt"

    def ask(self, method: str, path: str, body: Object | None = None) -> Any:
        """A request of the API, and its answer: an object, or text. Raises `OSError`, which for an
        answer that is none is `Refused`."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
            method=method,
        )
        trusting = ssl.create_default_context(cafile=self._certificate)
        try:
            with urllib.request.urlopen(
                request, timeout=ANSWER_SECONDS, context=trusting
            ) as answer:
                content = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode()) from None
        return json.loads(content) if content.startswith("{") else content

    def end(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()


class Refused(OSError):
    """The API answered with an error."""


def _etcd_flags(home: Path, store: str) -> list[str]:
    peers = f"http://127.0.0.1:{free_port()}"
    return [
        f"--data-dir={home / 'etcd'}",
        f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def _server_flags(home: Path, store: str, port: int) -> list[str]:
    return [
        f"--etcd-servers={store}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={home / 'certificates'}",
        f"--token-auth-file={home / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={home / 'accounts.pem'}",
        f"--service-account-signing-key-file={home / 'accounts.pem'}",
    ]


class JobEnder:
    """Stands in for the controller of Jobs: ends all of them, as done."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        #: The arguments of what was ended, in order.
        self.ended: list[list[str]] = []

    def __enter__(self) -> "JobEnder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.1):
            for job in self._server.ask("GET", "/apis/batch/v1/jobs")["items"]:
                if "completionTime" not in job["status"]:
                    self._end(job)

    def _end(self, job: Object) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        status = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}/status"
        self._server.ask("PATCH", path, {"status": status})
        [container] = job["spec"]["template"]["spec"]["containers"]
        self.ended.append(container["args"])


@contextmanager
def own_server(home: Path) -> Generator[ApiServer]:
    """A started API in a new folder. Skips the test where this machine cannot run it; in CI that is
    a failure."""
    with needed("kube-apiserver"):
        server = ApiServer(home)
    try:
        server.wait()
        yield server
    finally:
        server.end()


if __name__ == "__main__":
    # Before the tests, whose time is limited.
    sys.stdout.write(f"{programs()}\n")
