"""Recorded workflows, replayed by agents at a speed that takes a few seconds each."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.workers.plan import make_plan
from agent_orchestration.workers.schedule import ideal_makespan
from agent_orchestration.workers.wfformat import load_workflow
from tests.e2e.program import ROOT, answer, run
from tests.e2e.server_process import checked_log

pytestmark = [pytest.mark.process, pytest.mark.slow]

SAMPLES = sorted((ROOT / "agent_orchestration" / "examples").glob("*.json"))
RECORDED = ROOT.parent / "shared" / "data" / "workflows"
SECONDS = 3.0


def replayed(file: Path, folder: Path) -> dict[str, Any]:
    """What the program says after replaying the workflow on `folder/data` in about `SECONDS`."""
    workflow = load_workflow(file)
    plan = make_plan(workflow, "speed", None)
    ideal = ideal_makespan(workflow.tasks, [agent.capabilities for agent in plan.agents])
    words = ["run", str(file), "--speed", f"{ideal / SECONDS:.6f}", "--data", "data", "--json"]
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_replay(file: Path, folder: Path) -> None:
    """Every task completed once, nothing out of order, and the graph is what the log says."""
    said = replayed(file, folder)
    total = len(load_workflow(file).tasks)
    assert said["replay"]
    assert said["tasks"] == {"total": total, "by_status": {"completed": total}}
    assert said["ideal_seconds"] == pytest.approx(SECONDS, rel=0.01)
    assert said["wall_seconds"] >= SECONDS
    overhead = said["wall_seconds"] - said["ideal_seconds"]
    assert said["overhead_per_task_seconds"] == pytest.approx(overhead / total)
    assert (said["attempts_taken_back"], len(said["questions"])) == (0, 3)
    assert all(asked["rows"] for asked in said["questions"])
    log = checked_log(folder)
    assert log["tenants"]["default"]["tasks"] == {"completed": total}
    assert log["tenants"]["default"]["claims"] == total
    rebuilt = answer(folder, "rebuild", "--data", "data")
    assert rebuilt["equal"]
    assert rebuilt["events"] == sum(log["events"].values())


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_a_sample_of_the_project_is_replayed(file: Path, tmp_path: Path) -> None:
    check_replay(file, tmp_path)


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded workflows in {RECORDED}")
@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.json")), ids=lambda file: file.stem)
def test_a_recorded_workflow_is_replayed(file: Path, tmp_path: Path) -> None:
    check_replay(file, tmp_path)
