"""A plan of real commands, while the owner of the folder, the workers, or both are killed."""

import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.check_log import check_folder
from tests.e2e.program import PROGRAM, answer, environment, wait_for
from tests.e2e.test_run_plan import lines

pytestmark = [pytest.mark.process, pytest.mark.slow]

KILLS = 20
CHAINS, LENGTH = 20, 10
SEED = 2


def plan(ledger: Path) -> str:
    """Chains of commands; each writes a line when it begins and runs for a moment."""
    parts = ["title: Killed", "id: killed", "agents: [{name: w, capabilities: [sh], count: 8}]"]
    parts += ["defaults: {requires: [sh]}", "tasks:"]
    for chain in range(CHAINS):
        for place in range(LENGTH):
            after = f", depends_on: [c{chain}-{place - 1}]" if place else ""
            command = f'echo "$AO_TASK_ID $AO_ATTEMPT" >> {ledger}; sleep 0.2'
            parts.append(f"  - {{id: c{chain}-{place}, command: '{command}'{after}}}")
    return "\n".join(parts)


class Actors:
    """The owner (`dev`) and the run with its workers; whoever is dead is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._alive: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name, arguments in (
            ("dev", ["dev", "--port", "0"]),
            ("run", ["run", "plan.yaml", "--plan-id", "killed"]),
        ):
            process = self._alive.get(name)
            if process is None or process.poll() not in (None, 0):
                self._alive[name] = subprocess.Popen(
                    [*PROGRAM, *arguments, "--data", "data"],
                    cwd=self._folder,
                    env=environment(self._folder),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def kill(self, *names: str) -> None:
        for name in names:
            self._alive[name].kill()
            self._alive[name].wait()

    def ended(self) -> bool:
        return self._alive["run"].poll() == 0

    def stop(self) -> None:
        for process in self._alive.values():
            process.terminate()
            process.wait(timeout=20)


def begun(ledger: Path, count: int, actors: Actors) -> None:
    """Wait until so many commands have begun, or the plan is done."""

    def enough() -> bool:
        actors.start()
        return len(lines(ledger)) >= count or actors.ended()

    wait_for(enough, f"{count} commands to begin")


@pytest.mark.timeout(300)
def test_a_plan_finishes_whoever_is_killed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    (tmp_path / "plan.yaml").write_text(plan(ledger), "utf-8")
    chance = random.Random(SEED)
    actors = Actors(tmp_path)
    actors.start()
    try:
        for kill in range(KILLS):
            begun(ledger, (kill + 1) * 7 + chance.randrange(3), actors)
            actors.kill(*chance.choice([("dev",), ("run",), ("dev", "run")]))
            actors.start()
        begun(ledger, 10**6, actors)
    finally:
        actors.stop()
    plan_task = answer(tmp_path, "call", "get_task", "task_id=killed", "--data", "data")["task"]
    assert (plan_task["status"], plan_task["completed_children"]) == ("completed", CHAINS * LENGTH)
    runs = Counter(lines(ledger))
    assert max(runs.values()) == 1, "a command ran twice under one attempt"
    assert len(runs) >= CHAINS * LENGTH
    assert check_folder(tmp_path / "data")["violations"] == []
    orphans = subprocess.run(["pgrep", "-f", str(ledger)], capture_output=True, check=False)
    assert orphans.stdout == b""
