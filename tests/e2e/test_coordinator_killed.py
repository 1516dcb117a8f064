"""A coordinator that is killed again and again: what it coordinates goes on, and nothing is done
twice."""

import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.program import started
from tests.e2e.server_process import checked_log, post, running

pytestmark = pytest.mark.process
TURNS = 8
MODULE = """
import asyncio
from pathlib import Path
from typing import Any
from agent_orchestration.workers import agent

@agent(capabilities=["speak"])
async def speaker(payload: Any) -> dict[str, str]:
    await asyncio.sleep(0.2)
    number = len(payload["said"]) + 1
    with Path("spoken.txt").open("a") as file:
        file.write(f"{number} ")
    return {"text": f"turn {number}"}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_coordinator_takes_no_step_twice(tmp_path: Path) -> None:
    (tmp_path / "speaking.py").write_text(MODULE, "utf-8")
    data = ("--data", str(tmp_path / "data"))
    chance, kills, status = random.Random(7), 0, "ready"
    members = [{"capability": "speak"}]
    task = {
        "id": "c",
        "title": "Talk",
        "requires": [{"capability": "coordination"}],
        "payload": {"way": "group_chat", "goal": "x", "members": members, "turns": TURNS},
        # Short, for coordinators that are killed.
        "lease_seconds": 1,
    }
    speaking = ("worker", "--module", "speaking", *data)
    with running(tmp_path) as server, started(tmp_path, *speaking), server.http() as http:
        assert post(http, "create_task", task)[0] == 200
        while status != "completed":
            with started(tmp_path, "worker", "--coordinator", "--json", *data) as process:
                assert process.stdout is not None
                assert process.stdout.readline()
                with suppress(subprocess.TimeoutExpired):
                    # Killed at any point: that is what is to make no difference.
                    process.wait(chance.uniform(0.2, 2.5))
            kills += 1
            assert kills < 50
            status = post(http, "get_task", {"task_id": "c"})[1]["result"]["task"]["status"]
        steps = post(http, "list_tasks", {"label": "coordination=c"})[1]["result"]["tasks"]
        said = post(http, "list_messages", {"conversation_id": "c"})[1]["result"]["messages"]
    assert kills > 1
    turns = [f"turn {number}" for number in range(1, TURNS + 1)]
    assert [(message["author"], message["text"]) for message in said] == [
        ("speaker", turn) for turn in turns
    ]
    assert {(task["status"], task["attempt"]) for task in steps} == {("completed", 1)}
    assert len(steps) == TURNS
    assert (tmp_path / "spoken.txt").read_text("utf-8").split() == [*map(str, range(1, TURNS + 1))]
    checked_log(tmp_path)
