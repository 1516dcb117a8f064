"""Conversations on the whole platform: waited for, restarted, kept apart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, NotFound
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.types import BLOB_KEY, BLOB_THRESHOLD
from tests.e2e.check_log import check_folder
from tests.integration.world import PATIENCE, World, others_go_on

ANN = Caller(principal=Principal("worker-7", "agent", "ann"))


async def talking(world: World, tenant: str = "default") -> None:
    """Ann asks Bob."""
    for name in ("ann", "bob"):
        await world.agent(name, tenant)
    asked: dict[str, Any] = {"agent_id": "ann", "to": "bob", "kind": "question"}
    await world.call("open_conversation", tenant, id="talk", topic="T", text="Which?", **asked)


async def say(world: World, text: str, agent: str = "bob", **more: Any) -> dict[str, Any]:
    given = {"conversation_id": "talk", "agent_id": agent, "text": text, **more}
    return await world.call("send_message", **given)


async def reader(world: World, after: int) -> asyncio.Task[dict[str, Any]]:
    """Somebody who waits for what comes after a message, and has begun to."""
    waits = world.call("list_messages", conversation_id="talk", after=after, wait_seconds=50)
    waiting = asyncio.create_task(waits)
    await others_go_on()
    assert not waiting.done()
    return waiting


def texts(answer: dict[str, Any]) -> list[str]:
    return [message["text"] for message in answer["messages"]]


async def test_a_reader_waits_for_the_next_message(tmp_path: Path) -> None:
    async with World(tmp_path) as world, asyncio.timeout(PATIENCE):
        await talking(world)
        waiting = await reader(world, 1)
        await world.task("something-else")
        await others_go_on()
        assert not waiting.done()
        await say(world, "This one.", kind="answer", reply_to=1)
        answer = await waiting
        assert (texts(answer), answer["next_after"]) == (["This one."], 2)
        [message] = answer["messages"]
        assert (message["author"], message["kind"], message["reply_to"]) == ("bob", "answer", 1)


async def test_a_reader_of_a_closed_conversation_waits_for_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world, asyncio.timeout(PATIENCE):
        await talking(world)
        waiting = await reader(world, 1)
        await world.call("close_conversation", conversation_id="talk", reason="clear")
        late = {"conversation_id": "talk", "after": 1, "wait_seconds": 50}
        for answer in (await waiting, await world.call("list_messages", **late)):
            assert (answer["messages"], answer["status"]) == ([], "closed")
            assert answer["next_after"] == 1


async def test_messages_are_read_page_by_page(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world)
        for number in range(2, 8):
            await say(world, f"m{number}")
        pages = [
            await world.call("list_messages", conversation_id="talk", after=after, limit=3)
            for after in (0, 3, 6, 7)
        ]
        assert [texts(page) for page in pages] == [
            ["Which?", "m2", "m3"],
            ["m4", "m5", "m6"],
            ["m7"],
            [],
        ]
        assert [page["next_after"] for page in pages] == [3, 6, 7, 7]


async def test_an_agent_speaks_as_itself_only(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world)
        said = {"conversation_id": "talk", "text": "Hurry."}
        sent = await world.platform.call("send_message", said, ANN)
        assert (sent["message"]["author"], sent["message"]["author_kind"]) == ("ann", "agent")
        with pytest.raises(Forbidden) as refused:
            await world.platform.call("send_message", {**said, "agent_id": "bob"}, ANN)
        assert refused.value.code == "not_your_agent"
        nobody = Caller(principal=Principal("worker-8", "agent"))
        with pytest.raises(Forbidden) as refused:
            await world.platform.call("send_message", said, nobody)
        assert refused.value.code == "no_agent"
        opened = await world.platform.call("open_conversation", {"topic": "Mine"}, ANN)
        assert opened["conversation"]["opened_by"] == "ann"


async def test_tenants_do_not_hear_each_other(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world, "acme")
        answer = await world.call("list_messages", "acme", conversation_id="talk")
        assert (texts(answer), answer["messages"][0]["to"]) == (["Which?"], "bob")
        for name in ("talk", "acme:talk"):
            with pytest.raises(NotFound) as unknown:
                await world.call("list_messages", conversation_id=name)
            assert unknown.value.code == "unknown_conversation"


async def test_large_data_is_kept_beside_the_log(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world)
        large = "x" * BLOB_THRESHOLD
        sent = await say(world, "All of it.", kind="handoff", data=large)
        kept = sent["message"]["data"]
        assert kept["bytes"] == len(large) + 2
        assert await world.platform.read_blob(kept[BLOB_KEY], Caller()) == f'"{large}"'.encode()
        opened = {"topic": "Large", "text": "Here", "data": large}
        await world.call("open_conversation", id="large", **opened)
        first = await world.call("list_messages", conversation_id="large")
        assert first["messages"][0]["data"] == kept


async def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world)
        await world.call("open_conversation", id="over", topic="Over", text="That is all.")
        await world.call("close_conversation", conversation_id="over")
    async with World(tmp_path) as world:
        await world.ready()
        sent = await say(world, "This one.", reply_to=1)
        assert (sent["message"]["number"], sent["message"]["reply_to"]) == (2, 1)
        again = await world.call("close_conversation", conversation_id="over")
        assert again["conversation"]["messages"] == 1
        await world.is_fold_of_log()
        await world.rebuilt_equal()
        await world.is_fold_of_log()
    assert check_folder(tmp_path)["violations"] == []


async def test_a_message_with_a_key_is_sent_once(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await talking(world)
        first = await say(world, "This one.", idempotency_key="once")
        assert await say(world, "This one.", idempotency_key="once") == first
        listed = await world.call("list_messages", conversation_id="talk")
        assert texts(listed) == ["Which?", "This one."]
