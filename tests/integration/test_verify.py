"""The histories in the log are verified; whatever was done to the file is found."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.operations import Verify
from agent_orchestration.pipeline import verifying
from agent_orchestration.pipeline.partitions import partition_of
from tests.integration.test_rebuild import busy_history
from tests.integration.world import PARTITIONS, World

VALUE = "value = CAST(value || ' ' AS BLOB)"
TEXT = "value = replace(value, 'e', 'E')"
HEADERS = "headers = replace(headers, 'ce_actor', 'ce_author')"
UNREADABLE = "headers = 'ce_tenant: acme'"
TENANTS = ("default", "acme", "others")
BESIDE = "others"
"""In acme's partition."""


async def filled(folder: Path) -> int:
    """Histories of some tenants; how many events they have."""
    async with World(folder) as world:
        for tenant in TENANTS:
            await busy_history(world, tenant)
            await world.settled(tenant)
        return sum([len(await world.events(tenant)) for tenant in TENANTS])


async def verified(folder: Path, tenant: str | None = None) -> dict[str, Any]:
    """What the operation answers."""
    async with World(folder) as world:
        steps = [step async for step in world.platform.operate(Verify(tenant))]
        assert all(step["done"] <= step["total"] for step in steps[:-1])
        return steps[-1]


def in_file(folder: Path, statement: str, tenant: str, last: bool = False) -> None:
    """Do that to the tenant's first event in the log's file, or to its last one."""
    which = "max" if last else "min"
    place = (
        f'SELECT topic_id, partition, {which}("offset") FROM records JOIN topics USING (topic_id)'
        " WHERE name = 'events' AND key = ?"
    )
    where = f'(topic_id, partition, "offset") = ({place})'
    with closing(sqlite3.connect(folder / "log.sqlite")) as log, log:
        assert log.execute(f"{statement} WHERE {where}", [tenant.encode()]).rowcount == 1


def removed(folder: Path, pattern: str) -> None:
    """Delete these files."""
    for path in [path for path in folder.rglob(pattern) if path.is_file()]:
        path.unlink()


async def test_a_log_that_nobody_touched_is_whole(tmp_path: Path) -> None:
    events = await filled(tmp_path)
    answer = await verified(tmp_path)
    assert answer["ok"]
    assert answer["problems"] == []
    assert [answer[n] for n in ("tenants", "events", "repeated", "foreign")] == [3, events, 0, 0]
    one = await verified(tmp_path, "acme")
    assert (one["ok"], one["tenants"]) == (True, 1)
    assert 0 < one["events"] < events


async def test_a_new_installation_is_whole(tmp_path: Path) -> None:
    answer = await verified(tmp_path)
    assert (answer["ok"], answer["tenants"], answer["events"]) == (True, 0, 0)


async def test_a_tenant_that_there_is_not(tmp_path: Path) -> None:
    await filled(tmp_path)
    with pytest.raises(NotFound, match="no tenant nobody"):
        await verified(tmp_path, "nobody")


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("change", [VALUE, HEADERS])
async def test_an_event_that_was_changed_in_the_file_is_found(
    tmp_path: Path, change: str, last: bool
) -> None:
    await filled(tmp_path)
    in_file(tmp_path, f"UPDATE records SET {change}", "acme", last)
    answer = await verified(tmp_path)
    assert not answer["ok"]
    assert {problem["tenant"] for problem in answer["problems"]} == {"acme"}
    assert partition_of(BESIDE, PARTITIONS) == partition_of("acme", PARTITIONS)
    assert (await verified(tmp_path, BESIDE))["ok"]


@pytest.mark.parametrize("change", [TEXT, UNREADABLE])
async def test_a_record_that_the_log_cannot_read_hides_nothing_behind_it(
    tmp_path: Path, change: str
) -> None:
    await filled(tmp_path)
    in_file(tmp_path, f"UPDATE records SET {change}", "acme")
    in_file(tmp_path, "DELETE FROM records", "acme", last=True)
    answer = await verified(tmp_path)
    codes = [problem["code"] for problem in answer["problems"]]
    assert codes == ["unreadable", "incomplete", "cut_off"]


async def test_a_value_that_is_gone_hides_nothing_behind_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("before")
        tasks = [{"id": f"t{n}", "title": f"{n} {'x' * 190}"} for n in range(500)]
        await world.call("submit_plan", title="A large event", tasks=tasks)
        await world.task("after")
        await world.settled()
    removed(tmp_path / "blobs", "*")
    answer = await verified(tmp_path)
    assert [problem["code"] for problem in answer["problems"]] == ["unreadable", "gap"]


@pytest.mark.parametrize("last", [False, True])
async def test_an_event_that_was_taken_out_of_the_file_is_found(tmp_path: Path, last: bool) -> None:
    await filled(tmp_path)
    in_file(tmp_path, "DELETE FROM records", "acme", last)
    answer = await verified(tmp_path)
    [problem] = answer["problems"]
    assert problem["tenant"] == "acme"
    assert problem["code"] == ("cut_off" if last else "incomplete")


async def test_the_graph_of_another_log_is_no_witness(tmp_path: Path) -> None:
    await filled(tmp_path)
    removed(tmp_path, "log.sqlite*")
    answer = await verified(tmp_path)
    assert {problem["code"] for problem in answer["problems"]} == {"other_log"}


async def test_many_problems_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_PROBLEMS", 1)
    await filled(tmp_path)
    for tenant in ("acme", "others"):
        in_file(tmp_path, f"UPDATE records SET {VALUE}", tenant)
    answer = await verified(tmp_path)
    assert (answer["found"], len(answer["problems"])) == (2, 1)
