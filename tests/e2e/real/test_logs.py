"""What a plan leaves in the logs of a server, a processor and a worker, each on its own."""

import pytest

from tests.e2e.followed import AGENTS, CANARY, check, submit
from tests.e2e.program import wait_for
from tests.e2e.real.installation import TOKEN, Installation

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
LOUD = {"LOG_LEVEL": "DEBUG", "OPENAI_API_KEY": CANARY}


def test_a_plan_is_followed_through_all_processes(installation: Installation) -> None:
    (installation.folder / "shouting.py").write_text(AGENTS)
    processor = installation.processor("loud-processor", **LOUD)
    server = installation.server("loud-server", **LOUD)
    for process in (processor, server):
        wait_for(process.ready, f"{process.name} to be ready")
    worker = installation.worker("loud-worker", server, "--module", "shouting.py", **LOUD)
    wait_for(worker.ready, "the worker to be ready")
    submit(server.url, TOKEN)
    check(server.log, processor.log, worker.log)
    for process in (processor, server, worker):
        assert TOKEN not in process.log.read_text("utf-8")
