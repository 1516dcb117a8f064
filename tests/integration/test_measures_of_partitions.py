"""What is told of partitions: how far the graph and the archive are, what came into the graph."""

from pathlib import Path

import pytest

from agent_orchestration import measures
from agent_orchestration.backends.graph import GraphWrite
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.operations import Rebuild, Verify
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.measures import MOST_TENANTS, Gauge, NamedTenants
from agent_orchestration.pipeline import archiving, lag
from agent_orchestration.pipeline.topology import EVENTS, GROUP
from tests.integration.test_archive import HOME, ArchivingWorld, operated
from tests.integration.test_measures import Since
from tests.integration.world import Clock, World, until

PARTITION = (str(HOME),)
TOKENS = {"prompt_tokens": 900, "completion_tokens": 100, "cached_tokens": 500, "milliseconds": 40}


def here(gauge: Gauge) -> float | None:
    """What it says of the tenants' partition, if anything."""
    return gauge.read().get(PARTITION)


async def test_the_lag_of_the_graph_is_told_while_it_refuses_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.001)
    clock = Clock()

    def refuse(_write: GraphWrite) -> None:
        refused.append(1)
        raise Unavailable("graph_unavailable", "not now")

    async with World(tmp_path, clock) as world:
        await world.task("t")
        await until(lambda: here(measures.FOLD_LAG_EVENTS) == 0, "the graph to have everything")
        assert here(measures.FOLD_LAG_SECONDS) == 0
        assert here(measures.CHECKPOINT) == 1
        refused: list[int] = []
        world.graph.refuse = refuse
        await world.inject(CreateTask(title="More"), "command-1")
        await until(lambda: len(refused) > 1, "the work on the partition to begin anew")
        clock.pass_seconds(90)
        assert here(measures.FOLD_LAG_EVENTS) == 1
        assert here(measures.FOLD_LAG_SECONDS) == 90
        assert (GROUP, EVENTS, str(HOME)) in measures.CONSUMER_LAG.values
        assert here(measures.CHECKPOINT) == 1
        world.graph.refuse = lambda _: None
        await until(lambda: here(measures.FOLD_LAG_SECONDS) == 0, "the graph to have everything")
        assert (here(measures.FOLD_LAG_EVENTS), here(measures.CHECKPOINT)) == (0, 2)
    assert not measures.FOLD_LAG_SECONDS.read()
    assert not measures.CHECKPOINT.read()


async def test_the_lag_of_the_archive_is_what_doctor_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "EVERY_SECONDS", 0.001)
    clock = Clock()
    async with ArchivingWorld(tmp_path, clock) as world:
        await until(lambda: here(measures.ARCHIVE_LAG_EVENTS) == 0, "a look at the archive")
        await world.task("t")
        await world.task("u")
        clock.pass_seconds(60)
        await until(lambda: here(measures.ARCHIVE_LAG_SECONDS) == 60, "a minute to have passed")
        assert here(measures.ARCHIVE_LAG_EVENTS) == 2
        clock.pass_seconds(archiving.LONGEST_MS / 1000)
        await until(lambda: here(measures.ARCHIVE_LAG_EVENTS) == 0, "everything to be archived")
        assert here(measures.ARCHIVE_LAG_SECONDS) == 0
    assert not measures.ARCHIVE_LAG_EVENTS.read()
    assert not measures.ARCHIVE_LAG_SECONDS.read()


async def test_differences_between_graph_and_log_are_counted(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("t")
        await world.settled()
        since = Since()
        for operation in (Verify(), Rebuild()):
            assert await operated(world, operation)
        assert not since[measures.DIVERGENCES]
        world.graph.damage("MATCH (t:Task {id: 't'}) SET t.title = 'other'", {})
        assert not (await operated(world, Rebuild()))["equal"]
        assert since[measures.DIVERGENCES] == {(): 1}
        world.graph.damage("MATCH (e:Event {seq: 1}) SET e.digest = 'other'", {})
        assert not (await operated(world, Verify()))["ok"]
        assert since[measures.DIVERGENCES] == {(): 2}


async def test_tokens_and_cost_are_counted_when_a_call_is_settled_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "NAMED_TENANTS", NamedTenants(1))
    async with World(tmp_path) as world:
        since = Since()
        for tenant in ("default", "acme"):
            await world.agent("ann", tenant)
            await world.task("t", tenant)
            await world.call("claim_task", tenant, agent_id="ann")
            spend = {"id": "t.1", "task_id": "t", "agent_id": "ann", "attempt": 1}
            await world.call("reserve_spend", tenant, **spend, model="m", amount_micros=600)
            settled = {"spend_id": "t.1", "agent_id": "ann", "cost_micros": 250_000, **TOKENS}
            for _ in range(2):
                await world.call("settle_spend", tenant, **settled)
            await world.settled(tenant)
        kinds = {"input": 400, "cached": 500, "output": 100}
        assert since[measures.MODEL_TOKENS] == {
            (tenant, "m", kind): tokens
            for tenant in ("default", measures.OTHER)
            for kind, tokens in kinds.items()
        }
        assert since[measures.MODEL_COST] == {("default", "m"): 0.25, ("other", "m"): 0.25}


def test_the_first_tenants_of_a_process_are_named_for_good() -> None:
    named = NamedTenants(MOST_TENANTS)
    tenants = [f"tenant-{number}" for number in range(MOST_TENANTS + 5)]
    labels = [named.label(tenant) for tenant in tenants]
    assert labels == tenants[:MOST_TENANTS] + [measures.OTHER] * 5
    assert [named.label(tenant) for tenant in tenants] == labels
