"""A Prometheus that scrapes what a test tells it to, and promtool: Debian's, from the system or
taken out of its package into the folder for downloads."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.services.debian import unpacked
from tests.services.kafka import free_port
from tests.services.run import needed
from tests.services.starting import wait_until_it_answers

PACKAGE = "prometheus"
START_SECONDS = 60
ANSWER_SECONDS = 30

Config = dict[str, Any]


def promtool() -> Path:
    """The program that checks settings and rules, fetched when it is not there. Raises
    `NotHere`."""
    return _program("promtool")


def _program(name: str) -> Path:
    if found := shutil.which(name):
        return Path(found)
    return unpacked(PACKAGE) / "usr" / "bin" / name


class Refused(OSError):
    """Prometheus answered with an error; the message is what it says."""


class Prometheus:
    """A server on loopback with its data in a new folder, at `url`. `config` is the content of its
    settings file."""

    def __init__(self, home: Path, config: Config) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._output = home / "output.txt"
        home.mkdir(parents=True)
        settings = home / "prometheus.yml"
        settings.write_text(yaml.safe_dump(config), "utf-8")
        with self._output.open("wb") as file:
            self._process = subprocess.Popen(
                [
                    _program("prometheus"),
                    f"--config.file={settings}",
                    f"--storage.tsdb.path={home / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def wait(self) -> None:
        """Wait until it answers questions."""
        wait_until_it_answers(
            lambda: self._get("/-/ready"),
            (self._process,),
            self._output,
            "Prometheus",
            START_SECONDS,
        )

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API: `ask("query", query="up")`. Raises `Refused`, also for
        an expression that does not parse."""
        answer = self._get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        return json.loads(answer)["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series that an expression has now."""
        found = self.ask("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    def _get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=ANSWER_SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode()) from None

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def own_server(home: Path, config: Config) -> Generator[Prometheus]:
    """A started server in a new folder. Skips the test where this machine cannot run it; in CI that
    is a failure."""
    with needed("prometheus"):
        server = Prometheus(home, config)
    try:
        server.wait()
        yield server
    finally:
        server.kill()
