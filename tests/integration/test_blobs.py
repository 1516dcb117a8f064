"""Large fields: kept beside the log, read back byte for byte."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS
from tests.integration.world import World

MB = 1024 * 1024
RECORD_LIMIT = MB


async def largest_record(world: World) -> int:
    records = [*await world.records(COMMANDS), *await world.records(EVENTS)]
    return max(len(record.value) for record in records)


async def check(world: World, shown: dict[str, Any], value: Any) -> None:
    """What is shown refers to a blob with the value, to the byte."""
    data = canonical(value)
    assert shown["bytes"] == len(data)
    assert await world.platform.read_blob(shown["$blob"], Caller()) == data
    assert await largest_record(world) < RECORD_LIMIT


async def test_payload_progress_and_result_may_be_large(tmp_path: Path) -> None:
    payload = {"text": "ä" * (9 * MB // 2), "n": [1, None]}
    progress = ["p" * 1000] * 1000
    result = "r" * (2 * MB)
    async with World(tmp_path) as world:
        await world.agent("ann")
        await check(world, (await world.task("t", payload=payload))["task"]["payload"], payload)
        await world.call("claim_task", agent_id="ann")
        held = {"task_id": "t", "agent_id": "ann", "attempt": 1}
        answer = await world.call("report_progress", **held, progress=progress)
        await check(world, answer["task"]["progress"], progress)
        answer = await world.call("complete_task", **held, result=result)
        await check(world, answer["task"]["result"], result)
        await world.rebuilt_equal()
    async with World(tmp_path) as world:
        found = (await world.call("get_task", task_id="t"))["task"]
        await check(world, found["payload"], payload)
        await check(world, found["result"], result)


@pytest.mark.parametrize("size", [1, 64 * 1024 - 2, 64 * 1024 - 1, 64 * 1024, 100_000])
async def test_every_size_comes_back_as_it_was(tmp_path: Path, size: int) -> None:
    text = "x" * size
    async with World(tmp_path) as world:
        shown = (await world.task("t", payload=text))["task"]["payload"]
        if size + 2 <= 64 * 1024:
            assert shown == text
        else:
            await check(world, shown, text)


async def test_a_request_over_the_limit_is_refused_before_the_log(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.ready()
        with pytest.raises(Rejected, match="at most") as refused:
            await world.task("t", payload="x" * (11 * MB))
        assert refused.value.code == "too_large"
        assert await world.records(COMMANDS) == []


async def test_the_same_large_request_under_a_key_is_the_same(tmp_path: Path) -> None:
    payload = {"b": "x" * MB, "a": 1}
    async with World(tmp_path) as world:
        first = await world.task("t", payload=payload, idempotency_key="k")
        again = await world.task("t", payload=dict(reversed(payload.items())), idempotency_key="k")
        assert again == first
        with pytest.raises(Exception, match="idempotency_key"):
            await world.task("t", payload={**payload, "a": 2}, idempotency_key="k")


@pytest.mark.parametrize("digest", ["0" * 64, "", "../log.sqlite", "x"])
async def test_a_digest_that_names_nothing_is_not_found(tmp_path: Path, digest: str) -> None:
    async with World(tmp_path) as world:
        with pytest.raises(NotFound):
            await world.platform.read_blob(digest, Caller())


async def test_the_mark_of_a_blob_cannot_be_forged(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        with pytest.raises(Rejected, match="reserved"):
            await world.task("t", payload={"$blob": "0" * 64, "bytes": 1})


async def test_a_request_large_beside_its_payload_is_accepted_or_refused_clearly(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.ready()
        labels = {f"{n:02}" + "k" * 60: "ü" * 256 for n in range(50)}
        await world.task("t", description="ö" * 10_000, labels=labels, payload="x" * 65_000)
        assert await largest_record(world) < RECORD_LIMIT
        await world.is_fold_of_log()
