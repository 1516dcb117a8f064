"""What nobody can read is kept apart, what was refused is kept, and work goes on."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent_orchestration.core.envelope import CommandEnvelope, Record
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Principal, canonical
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    PARTITIONS,
    SYSTEM_EVENTS,
)
from tests.integration.world import World, tenant_on

HOME = partition_of("default", PARTITIONS)
PRINCIPAL = Principal("me", "admin")


def command(**changes: str) -> Record:
    """A well-formed command with some headers replaced, or left out where empty."""
    record = CommandEnvelope(
        id="c1",
        tenant="default",
        type="CreateTask",
        body=canonical(CreateTask(title="x")),
        principal=PRINCIPAL,
    ).to_record()
    headers = {**record.headers, **{f"ce_{name}": value for name, value in changes.items()}}
    return msgspec.structs.replace(record, headers={n: v for n, v in headers.items() if v})


BROKEN: dict[str, tuple[Record, str]] = {
    "garbage": (Record(b"default", b"\xff\x00garbage"), "lacks the header"),
    "no headers": (Record(b"default", b"{}"), "lacks the header"),
    "foreign source": (command(source="/elsewhere"), "not written by this platform"),
    "other version": (command(specversion="0.3"), "not written by this platform"),
    "no tenant": (command(tenant=""), "lacks the header ce_tenant"),
    "other key": (msgspec.structs.replace(command(), key=b"acme"), "key is not its tenant"),
    "unknown type": (command(type="DropEverything"), "unknown command type"),
    "no body": (msgspec.structs.replace(command(), value=b""), "truncated"),
    "bad body": (msgspec.structs.replace(command(), value=b'{"title":5}'), "Expected `str`"),
    "more fields": (
        msgspec.structs.replace(command(), value=b'{"title":"x","colour":1}'),
        "unknown field",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_command_is_a_dead_letter(tmp_path: Path, name: str) -> None:
    record, reason = BROKEN[name]
    async with World(tmp_path) as world:
        await world.task("a")
        await world.log.append(COMMANDS, HOME, [record])
        await world.task("b")
        [letter] = await world.records(DEAD_LETTERS)
        assert reason in letter.headers["reason"]
        assert letter.headers["origin"] == f"commands/{HOME}/1"
        assert (letter.key, letter.value) == (record.key, record.value)
        assert {f"original_{n}": v for n, v in record.headers.items()}.items() <= (
            letter.headers.items()
        )
        assert await world.types() == ["TaskCreated"] * 2


@pytest.mark.parametrize("name", ["garbage", "foreign source", "no tenant", "other key"])
async def test_a_broken_event_is_a_dead_letter(tmp_path: Path, name: str) -> None:
    record, reason = BROKEN[name]
    async with World(tmp_path) as world:
        await world.task("a")
        await world.log.append(EVENTS, HOME, [record])
        await world.task("b")
        [letter] = await world.records(DEAD_LETTERS)
        assert reason in letter.headers["reason"]
        assert letter.headers["origin"] == f"events/{HOME}/1"
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        assert len(await world.records(DEAD_LETTERS)) == 1
    async with World(tmp_path) as world:
        await world.task("c")
        await world.is_fold_of_log()


async def test_a_command_in_the_wrong_partition_is_a_dead_letter(tmp_path: Path) -> None:
    """Two partitions that decide for one tenant would give it two histories."""
    tenant = tenant_on((HOME + 1) % PARTITIONS)
    body = canonical(CreateTask(title="x"))
    envelope = CommandEnvelope(
        id="c1", tenant=tenant, type="CreateTask", body=body, principal=PRINCIPAL
    )
    async with World(tmp_path) as world:
        await world.task("a", tenant)
        await world.log.append(COMMANDS, HOME, [envelope.to_record()])
        await world.settled()
        await world.task("b", tenant)
        await world.is_fold_of_log(tenant)
        [letter] = await world.records(DEAD_LETTERS)
        assert "another partition" in letter.headers["reason"]


async def test_many_broken_records_among_good_ones(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        bad = [record for record, _ in BROKEN.values()]
        good = asyncio.gather(*(world.task(f"t{n}") for n in range(50)))
        for _ in range(5):
            await world.log.append(COMMANDS, HOME, bad)
        await good
        await world.settled()
        assert len(await world.records(DEAD_LETTERS)) == 5 * len(bad)
        await world.is_fold_of_log()


async def test_rejections_are_kept(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.task("a")
        with pytest.raises(Rejected):
            await world.task("a")
        with pytest.raises(NotFound):
            await world.call("claim_task", "acme", agent_id="ann")
        first, second = sorted(
            await world.records(SYSTEM_EVENTS), key=lambda r: r.headers["ce_tenant"]
        )
        assert first.headers["ce_tenant"] == "acme"
        assert first.headers["ce_type"] == second.headers["ce_type"] == "CommandRejected"
        assert second.headers["ce_actor"] == "local"
        kept = msgspec.json.decode(second.value)
        assert kept["command"] == "CreateTask"
        assert kept["error"] == "rejected"
        assert kept["code"] == "already_exists"
        assert "task a exists" in kept["reason"]


async def test_claims_that_find_nothing_are_not_kept(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        for _ in range(3):
            assert (await world.call("claim_task", agent_id="ann"))["reason"] == "no_ready_task"
        assert await world.records(SYSTEM_EVENTS) == []
        assert await world.types() == ["AgentRegistered"]
