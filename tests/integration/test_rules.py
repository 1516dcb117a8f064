"""Rules have a version: an upgraded installation goes on as before until they are raised, and a
program that does not know them gives the partition up."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, Rejected, Unavailable
from agent_orchestration.core.folding import RULES
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.tenants.commands import RaiseRules
from agent_orchestration.pipeline.topology import DEAD_LETTERS
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.worker import Worker
from tests.integration.test_stops import ELSEWHERE, stopped
from tests.integration.world import Clock, World, until_async
from tests.unit.kept_log import VERSIONS, KeptLog

ONCE = {"max_attempts": 1}


async def drained(world: World, task_id: str) -> dict[str, Any]:
    """A worker takes the task, is stopped in the middle of it, and gives it back."""
    started = asyncio.Event()

    async def carry_out(_task: HeldTask) -> None:
        started.set()
        await asyncio.Event().wait()

    agent = f"of-{task_id}"
    needs = [{"capability": agent}]
    await world.agent(agent, capabilities=[{"name": agent}])
    await world.task(task_id, retry=ONCE, requires=needs)
    worker = Worker(world.platform, agent, carry_out)
    working = asyncio.create_task(worker.run())
    await started.wait()
    worker.stop()
    await working
    return (await world.call("get_task", task_id=task_id))["task"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_kept_log_makes_the_graph_that_its_version_made(
    tmp_path: Path, version: str
) -> None:
    kept = KeptLog(version)
    await kept.restore(tmp_path)
    async with World(tmp_path, Clock(kept.end)) as world:
        for tenant in kept.events:
            await world.settled(tenant)
            await world.is_fold_of_log(tenant)
        assert await world.fingerprint() == kept.fingerprint
        await world.rebuilt_equal()
        assert await world.fingerprint() == kept.fingerprint


async def test_an_upgraded_installation_goes_on_as_before_until_its_rules_are_raised(
    tmp_path: Path,
) -> None:
    kept = KeptLog("0.1")
    await kept.restore(tmp_path)
    async with World(tmp_path, Clock(kept.end)) as world:
        overview = await world.call("get_overview")
        assert (overview["rules"], overview["newest_rules"]) == (1, RULES)
        before = await drained(world, "before")
        assert (before["status"], "given_back" in before) == ("failed", False)
        raised = await world.call("raise_rules")
        assert (raised["rules"], raised["raised"]) == (RULES, True)
        again = await world.call("raise_rules")
        assert again == {"rules": RULES, "raised": False, "seq": raised["seq"]}
        assert (await world.call("get_overview"))["rules"] == RULES
        after = await drained(world, "after")
        assert (after["status"], after["attempt"], after["given_back"]) == ("ready", 1, 1)
        assert after["reason"] == "attempt 1 was given back"
        decided = [event.rules for event in await world.events()]
        assert decided == sorted(decided)
        assert set(decided) == {1, RULES}
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        # Each tenant has rules of its own.
        assert (await world.call("get_overview", "acme"))["rules"] == 1
    async with World(tmp_path, Clock(kept.end)) as world:
        claim = await world.call("claim_task", agent_id="of-after")
        held = {"task_id": "after", "agent_id": "of-after", "attempt": claim["attempt"]}
        await world.call("fail_task", **held, error="broken")
        last = (await world.call("get_task", task_id="after"))["task"]
        assert (last["status"], last["attempt"], last["given_back"]) == ("failed", 2, 1)
        await world.is_fold_of_log()


async def test_a_new_tenant_begins_with_the_newest_rules(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert "rules" not in await world.call("get_overview")
        assert not (await world.call("raise_rules"))["raised"]
        await world.task("a")
        await world.task("b", "acme")
        for tenant in ("default", "acme"):
            [event] = await world.events(tenant)
            assert event.rules == RULES
            assert (await world.call("get_overview", tenant))["rules"] == RULES
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_a_new_tenant_begins_with_rules_that_every_process_knows(tmp_path: Path) -> None:
    """They are raised once nobody is left who does not know the newer ones."""
    async with World(tmp_path) as world:
        world.log.members = [RULES, 1]
        await world.task("a")
        with pytest.raises(Rejected, match="knows rules 1 only") as refused:
            await world.call("raise_rules")
        assert refused.value.code == "older_programs"
        world.log.members = [RULES]
        assert (await world.call("raise_rules"))["raised"]
        await world.task("b")
        assert [event.rules for event in await world.events()] == [1, 1, RULES]
        await world.is_fold_of_log()


async def test_only_an_administrator_raises_the_rules(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        operator = Caller(principal=Principal("olga", "operator"))
        with pytest.raises(Forbidden):
            await world.platform.call("raise_rules", {}, operator)


async def test_a_program_that_does_not_know_the_rules_gives_the_partition_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
    with monkeypatch.context() as older:
        older.setattr("agent_orchestration.core.folding.RULES", 1)
        older.setattr("agent_orchestration.pipeline.common_rules.RULES", 1)
        for lost in (False, True):
            if lost:  # and has to fold the log instead of loading
                lose_graph(tmp_path)
            async with World(tmp_path) as world:
                await world.task("b", ELSEWHERE, idempotency_key="b")
                with pytest.raises(Unavailable) as refused:
                    await world.task("b")
                assert refused.value.code == "partition_stopped"
                assert "under rules 2; this program knows 1: upgrade it" in await stopped(world)
                assert await world.records(DEAD_LETTERS) == []
                assert [event.seq for event in await world.events()] == [1]
    async with World(tmp_path) as world:
        # What was asked for meanwhile was not lost, nor carried out.
        await until_async(lambda: has_task(world, "b"), "the command that waited")
        assert await world.types() == ["TaskCreated"] * 2


def lose_graph(folder: Path) -> None:
    for path in folder.glob("graph.kgl*"):
        path.unlink()


async def has_task(world: World, task_id: str) -> bool:
    rows = await world.call("list_tasks")
    return task_id in {task["id"] for task in rows["tasks"]}


async def test_a_program_that_is_told_to_raise_the_rules_beyond_what_it_knows_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a newer server asks an older processor."""
    async with World(tmp_path) as world:
        await world.task("a")
        await world.inject(RaiseRules(rules=RULES + 1), "raise")
        await world.inject(RaiseRules(rules=RULES + 1), "raise again")
        knows = f"under rules {RULES + 1}; this program knows {RULES}: upgrade it"
        assert knows in await stopped(world)
        assert await world.types() == ["TaskCreated"]
        assert await world.records(DEAD_LETTERS) == []
    monkeypatch.setattr("agent_orchestration.core.folding.RULES", RULES + 1)
    async with World(tmp_path) as world:
        await world.task("b")
        assert await world.types() == ["TaskCreated", "RulesRaised", "TaskCreated"]
        assert [event.rules for event in await world.events()] == [RULES, RULES, RULES + 1]
        await world.is_fold_of_log()
