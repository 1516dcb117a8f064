"""Plans of real commands: carried out, failing, interrupted, killed, and gone on with."""

import json
import os
import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import ROOT, answer, run, server, started, wait_for

pytestmark = pytest.mark.process

#: A little project that the checks of this repository can be carried out on.
PROJECT = {
    "pyproject.toml": """\
        [tool.importlinter]
        root_package = "little"
        [[tool.importlinter.contracts]]
        id = "layers"
        name = "imports go down only"
        type = "layers"
        layers = ["little.high", "little.low"]
        [tool.pyright]
        include = ["little"]
        """,
    "little/__init__.py": "",
    "little/low.py": "ANSWER = 42\n",
    "little/high.py": "from little.low import ANSWER\n\nMORE = ANSWER + 1\n",
    **{
        f"tests/{shard}/test_{shard}.py": """\
            from little.high import MORE


            def test_more():
                assert MORE == 43
            """
        for shard in ("unit", "architecture", "contracts", "integration", "e2e")
    },
}
WAITS = """\
title: Waits
id: waits
tasks:
  - {id: first, command: echo once >> first}
  - id: second
    depends_on: [first]
    command: |
      echo "$$ $AO_ATTEMPT" >> second
      while [ ! -e go ]; do sleep 0.02; done
  - {id: third, command: echo once >> third, depends_on: [second]}
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), "utf-8")
    return file


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8").split("\n")[:-1] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"


def statuses(folder: Path, plan_id: str) -> dict[str, tuple[str, int]]:
    """Task id within the plan -> status and attempt."""
    told = answer(folder, "call", "list_tasks", f"parent_id={plan_id}", "--data", "data")
    rows = told["tasks"]
    return {
        task["id"].removeprefix(f"{plan_id}."): (task["status"], task["attempt"]) for task in rows
    }


def project(folder: Path) -> dict[str, str]:
    """The little project and the plan of its checks; the environment with the tools' folder."""
    for name, text in PROJECT.items():
        write(folder, name, text)
    plan = ROOT / "agent_orchestration" / "examples" / "checks.yaml"
    write(folder, "checks.yaml", plan.read_text("utf-8"))
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
def test_the_checks_of_a_repository_pass_as_a_plan(tmp_path: Path) -> None:
    more = project(tmp_path)
    told = answer(tmp_path, "run", "checks.yaml", "--plan-id", "ok", "--data", "data", more=more)
    assert told["status"] == "completed", told["failures"]
    assert told["tasks"]["by_status"] == {"completed": 10}
    shown = answer(tmp_path, "call", "get_task", "task_id=ok.tests-unit", "--data", "data")
    assert "1 passed" in shown["task"]["result"]["output_tail"]


@pytest.mark.slow
def test_a_check_that_fails_is_shown_and_explained(tmp_path: Path) -> None:
    more = project(tmp_path)
    good = (tmp_path / "tests/contracts/test_contracts.py").read_text("utf-8")
    write(tmp_path, "tests/contracts/test_contracts.py", good.replace("== 43", "== 44"))
    done = run(tmp_path, "run", "checks.yaml", "--plan-id", "bad", "--data", "data", more=more)
    assert done.returncode == 1, done.stderr
    for expected in (
        "Tests: contracts (bad.tests-contracts)",
        "It is failed by bad:Tester:",
        "assert 43 == 44",
        "TaskFailed by bad:Tester:",
        "plan bad: failed in",
        "explain_task task_id=bad.tests-contracts",
    ):
        assert expected in done.stdout
    found = statuses(tmp_path, "bad")
    assert found["tests-contracts"] == ("failed", 1)
    assert found["tests-integration"] == found["done"] == ("cancelled", 0)
    assert found["tests-architecture"] == ("completed", 1)


def test_retries_results_and_edges_work_as_the_plan_says(tmp_path: Path) -> None:
    plan = """\
        title: Edges
        id: edges
        defaults: {timeout_seconds: 30}
        tasks:
          - {id: makes, command: 'echo "[1, 2]" > "$AO_RESULT"'}
          - {id: reads, command: 'grep -F "[1,2]" "$AO_DEPENDENCIES"', depends_on: [makes]}
          - id: again
            command: test "$AO_ATTEMPT" = 2
            retry: {max_attempts: 2, initial_seconds: 0}
          - {id: slow, command: sleep 60, timeout_seconds: 0.2}
          - {id: missing, command: [no-such-program]}
          - {id: cancelled, command: 'true', depends_on: [slow]}
          - {id: goes-on, command: 'true', depends_on: [{task_id: slow, on_failure: continue}]}
          - {id: stays, command: 'true', depends_on: [{task_id: missing, on_failure: block}]}
        """
    write(tmp_path, "plan.yaml", plan)
    done = run(tmp_path, "run", "plan.yaml", "--data", "data", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["status"] == "running"  # `stays` waits for good
    assert {failure["task"]["error_type"] for failure in told["failures"]} == {
        "timeout",
        "command_not_found",
    }
    assert statuses(tmp_path, "edges") == {
        "makes": ("completed", 1),
        "reads": ("completed", 1),
        "again": ("completed", 2),
        "slow": ("failed", 1),
        "missing": ("failed", 1),
        "cancelled": ("cancelled", 0),
        "goes-on": ("completed", 1),
        "stays": ("blocked", 0),
    }


def second_runs(folder: Path) -> bool:
    return bool(lines(folder / "second"))


def test_a_killed_run_goes_on_and_repeats_nothing_that_completed(tmp_path: Path) -> None:
    write(tmp_path, "plan.yaml", WAITS)
    words = ("run", "plan.yaml", "--data", "data")
    with started(tmp_path, *words) as process:
        wait_for(lambda: second_runs(tmp_path), "the second command")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    orphan = int(lines(tmp_path / "second")[0].split()[0])
    (tmp_path / "go").touch()
    told = answer(tmp_path, *words)
    assert told["status"] == "completed"
    assert told["resumed"]
    assert told["completed_before"] == 1
    assert lines(tmp_path / "first") == lines(tmp_path / "third") == ["once"]
    assert [one.split()[1] for one in lines(tmp_path / "second")] == ["1", "2"]
    assert not alive(orphan)
    # Over and done: the third time there is nothing to do.
    assert answer(tmp_path, *words)["completed_before"] == 3
    assert lines(tmp_path / "first") == ["once"]


def test_an_interrupted_run_leaves_no_command_and_says_how_to_go_on(tmp_path: Path) -> None:
    write(tmp_path, "plan.yaml", WAITS)
    with started(tmp_path, "run", "plan.yaml", "--data", "data") as process:
        wait_for(lambda: second_runs(tmp_path), "the second command")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait() == 130
    assert "nothing was cancelled" in said
    assert "run plan.yaml --plan-id waits --data" in said
    assert not alive(int(lines(tmp_path / "second")[0].split()[0]))
    assert statuses(tmp_path, "waits")["second"] == ("ready", 1)
    (tmp_path / "go").touch()
    assert answer(tmp_path, "run", "plan.yaml", "--data", "data")["status"] == "completed"
    assert lines(tmp_path / "first") == ["once"]


def test_a_plan_is_carried_out_once_at_a_time_and_only_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "plan.yaml", WAITS)
    words = ("run", "plan.yaml", "--data", "data")
    with started(tmp_path, *words) as process:
        wait_for(lambda: second_runs(tmp_path), "the second command")
        other = run(tmp_path, *words)
        assert other.returncode == 4
        assert "another process is carrying out plan waits" in other.stderr
        (tmp_path / "go").touch()
        assert process.wait() == 0
    write(tmp_path, "plan.yaml", WAITS.replace("echo once >> third", "echo twice >> third"))
    changed = run(tmp_path, *words)
    assert changed.returncode == 4
    assert "waits was submitted with other content" in changed.stderr
    assert lines(tmp_path / "third") == ["once"]


def test_a_run_joins_the_owner_of_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "id: a\ntitle: A\ntasks: [{id: t, command: 'true'}]")
    write(tmp_path, "b.yaml", "id: b\ntitle: B\ntasks: [{id: t, command: 'true'}]")
    with server(tmp_path) as (process, _):
        for name in ("a", "b"):
            told = answer(tmp_path, "run", f"{name}.yaml", "--data", "data")
            assert told["status"] == "completed"
            assert statuses(tmp_path, name) == {"t": ("completed", 1)}
        assert process.poll() is None


def test_validate_lists_every_problem_and_creates_nothing(tmp_path: Path) -> None:
    write(tmp_path, "bad.yaml", "titel: x\ntasks:\n- {id: a, depends_on: [b]}\n- {id: a}\n")
    for verb in (("plan", "validate"), ("plan", "submit"), ("run",)):
        done = run(tmp_path, *verb, "bad.yaml", more={"AGENT_ORCHESTRATION_DATA": "data"})
        assert done.returncode == 2
        told = done.stderr.splitlines()
        assert len(told) == 4
        assert all(line.startswith("error: bad.yaml: line ") for line in told)
    assert not (tmp_path / "data" / "log.sqlite").exists()
    write(tmp_path, "good.yaml", "title: x\ntasks: [{id: a}, {id: b, depends_on: [a]}]")
    done = run(tmp_path, "plan", "validate", "good.yaml")
    assert done.returncode == 0
    assert "good.yaml: valid, 2 tasks, 1 dependencies" in done.stdout
    assert "note: tasks[0] (a): has no command" in done.stdout


def test_a_submitted_plan_waits_until_somebody_runs_it(tmp_path: Path) -> None:
    plan = "id: later\ntitle: x\ntasks: [{id: a, command: touch done, requires: [touching]}]"
    write(tmp_path, "plan.yaml", plan)
    words: tuple[Any, ...] = ("plan.yaml", "--data", "data")
    assert answer(tmp_path, "plan", "submit", *words) == {
        "plan_id": "later",
        "found": False,
        "task_ids": ["later.a"],
        "unstaffed": ["touching"],
    }
    again = run(tmp_path, "plan", "submit", *words)
    assert "plan later was submitted before: 1 tasks\n  later.a\n" in again.stdout
    assert statuses(tmp_path, "later") == {"a": ("ready", 0)}
    assert not (tmp_path / "done").exists()
    assert answer(tmp_path, "run", *words)["status"] == "completed"
    assert (tmp_path / "done").exists()


def test_options_of_workflows_are_not_for_plans(tmp_path: Path) -> None:
    write(tmp_path, "plan.yaml", WAITS)
    done = run(tmp_path, "run", "plan.yaml", "--speed", "3", "--data", "data")
    assert done.returncode == 2
    assert "plan.yaml is a plan" in done.stderr
