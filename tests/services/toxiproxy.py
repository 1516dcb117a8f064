"""A network between clients and servers that fails when a test says so: Shopify's toxiproxy, which
Go builds once, into a folder outside the tree.

Whoever connects to the port of a proxy talks to its upstream, as far as its toxics let them.
"""

import json
import subprocess
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.services.go import built
from tests.services.kafka import free_port
from tests.services.run import needed
from tests.services.starting import wait_until_it_answers

START_SECONDS = 30
ANSWER_SECONDS = 30

#: To the server, and what it says.
Stream = Literal["upstream", "downstream"]
BOTH: tuple[Stream, Stream] = ("upstream", "downstream")


class Proxy:
    """A way to an upstream over `port`."""

    def __init__(self, server: "Toxiproxy", name: str, port: int) -> None:
        self.port = port
        self._server = server
        self._path = f"/proxies/{name}"
        self._toxics: list[str] = []

    def add(self, toxic: str, *streams: Stream, **attributes: int) -> None:
        """Spoil what goes in these directions, in connections that there are and in new ones."""
        for stream in streams:
            name = f"{toxic}-{stream}"
            body = {"name": name, "type": toxic, "stream": stream, "attributes": attributes}
            self._server.ask("POST", f"{self._path}/toxics", body)
            self._toxics.append(name)

    def heal(self) -> None:
        """End all that. Connections of which a `timeout` took something are closed by it."""
        for toxic in self._toxics:
            self._server.ask("DELETE", f"{self._path}/toxics/{toxic}")
        self._toxics.clear()

    def cut(self) -> None:
        """Close all connections; new ones are accepted."""
        for enabled in (False, True):
            self._server.ask("POST", self._path, {"enabled": enabled})


class Toxiproxy:
    """A running server."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._output = home / "output.txt"
        home.mkdir(parents=True)
        with self._output.open("wb") as file:
            self._process = subprocess.Popen(
                [built("toxiproxy"), "-host", "127.0.0.1", "-port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until_it_answers(
            lambda: self.ask("GET", "/proxies"),
            (self._process,),
            self._output,
            "toxiproxy",
            START_SECONDS,
        )

    def proxy(self, name: str, port: int, upstream: int) -> Proxy:
        """A new way from one port of loopback to another one."""
        addresses = {"listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}"}
        self.ask("POST", "/proxies", {"name": name, **addresses})
        return Proxy(self, name, port)

    def kill(self) -> None:
        """End it, and with it all connections."""
        self._process.kill()
        self._process.wait()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """A request of its API. Raises `OSError`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            return


@contextmanager
def own_server(home: Path) -> Generator[Toxiproxy]:
    """A started server in a new folder. Skips the test where this machine cannot run it; in CI that
    is a failure."""
    with needed("toxiproxy"):
        server = Toxiproxy(home)
    try:
        server.wait()
        yield server
    finally:
        server.kill()
