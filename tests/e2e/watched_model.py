"""A service of models in front of another, which may kill whoever asks it."""

import contextlib
import json
import random
import subprocess
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from agent_orchestration.workers.recording import digest
from tests.e2e.program import PATIENCE

Call = tuple[str, int]
"""What an agent was told first, as recordings have it, and the call's number."""


class Watch:
    """What was asked, and who is to die of it. `recording` is where answers are recorded."""

    def __init__(self, target: str, recording: Path, chance: random.Random) -> None:
        self.target = target
        self.url = ""
        #: The calls of the model, in the order in which they came.
        self.asked: list[Call] = []
        #: Those that had an answer in the recording when they came.
        self.asked_again: list[Call] = []
        self.worker: subprocess.Popen[str] | None = None
        self._recording = recording
        self._chance = chance

    def entries(self) -> list[dict[str, Any]]:
        """All that is recorded, but for what is being written."""
        texts = [file.read_text("utf-8") for file in self._recording.glob("*.jsonl")]
        lines = [line for text in texts for line in text.splitlines(keepends=True)]
        return [json.loads(line)["entry"] for line in lines if line.endswith("\n")]

    def answered(self) -> list[Call]:
        """The calls whose answers are recorded."""
        asked = [one["question"] for one in self.entries() if one["of"] == "model"]
        return [(one["request"]["messages"][1], int(one["place"].split()[1])) for one in asked]

    def came(self, body: bytes) -> None:
        """A request came."""
        messages = json.loads(body)["messages"]
        number = 1 + sum(one["role"] == "assistant" for one in messages)
        call = digest(messages[1]), number
        if call in self.answered():
            self.asked_again.append(call)
        self.asked.append(call)

    def kill_soon(self) -> None:
        """Kill who asked, perhaps: a moment after the answer went out."""
        if (worker := self.worker) is not None and self._chance.random() < 0.6:
            threading.Timer(self._chance.uniform(0, 0.04), worker.kill).start()


@contextlib.contextmanager
def watched(watch: Watch) -> Generator[Watch]:
    """The service, at `watch.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            watch.came(body)
            names = ("content-type", "authorization")
            kept = {name: self.headers[name] for name in names if name in self.headers}
            with httpx2.Client(timeout=PATIENCE, trust_env=False) as web:
                answer = web.post(f"{watch.target}{self.path}", content=body, headers=kept)
            with contextlib.suppress(ConnectionError):  # it was killed
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)
            watch.kill_soon()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    watch.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield watch
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
