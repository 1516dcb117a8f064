"""Conversations over MCP: two agents, each a client of its own, ask and answer."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.e2e.server_process import ERAS, Server, checked_log, running
from tests.e2e.test_mcp_teams import Caller

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("conversations")) as started:
        yield started
        checked_log(started.folder)


async def clients(stack: AsyncExitStack, server: Server, era: str) -> tuple[Caller, Caller, Caller]:
    """Ann and Bob, who see the tools of workers, and somebody who looks on."""
    other = "legacy" if era != "legacy" else "auto"
    made = [
        server.mcp(era, {"X-MCP-Toolsets": "worker,converse"}),
        server.mcp(other, {"X-MCP-Toolsets": "worker,converse"}),
        server.mcp(era, {"X-MCP-Toolsets": "converse,inspect,orchestrate"}),
    ]
    ann, bob, other_one = [Caller(await stack.enter_async_context(one), era) for one in made]
    return ann, bob, other_one


async def hire(operator: Caller) -> dict[str, Any]:
    """Ann and Bob in a team with a task; what their conversation is about."""
    for name in ("ann", "bob", "eve"):
        agent = {"id": operator.named(name), "name": name, "kind": "llm"}
        await operator.call("register_agent", **agent, capabilities=[])
    members = [{"agent_id": operator.named(name)} for name in ("ann", "bob")]
    await operator.call("form_team", id=operator.named("crew"), goal="Parse", members=members)
    await operator.call("create_task", id=operator.named("parse"), title="Parse")
    return {"task_id": operator.named("parse"), "team_id": operator.named("crew")}


@pytest.mark.parametrize("era", ERAS)
async def test_two_agents_ask_and_answer(server: Server, era: str) -> None:
    async with AsyncExitStack() as stack:
        ann, bob, operator = await clients(stack, server, era)
        about = await hire(operator)
        talk = ann.named("talk")
        opening = {"id": talk, "topic": "Which grammar?", "agent_id": ann.named("ann"), **about}
        opened = await ann.call("open_conversation", **opening)
        assert opened["conversation"]["opened_by"] == ann.named("ann")
        # Bob finds it by opening it, too, and waits.
        assert (await bob.call("open_conversation", **opening))["conversation"]["messages"] == 0
        waits = {"conversation_id": talk, "wait_seconds": 20}
        waiting = asyncio.create_task(bob.call("list_messages", **waits))
        question = {"agent_id": ann.named("ann"), "to": bob.named("bob"), "kind": "question"}
        await ann.call(
            "send_message", conversation_id=talk, text="LALR or PEG?", data={"n": 2}, **question
        )
        heard = await waiting
        [asked] = heard["messages"]
        assert (asked["text"], asked["data"]) == ("LALR or PEG?", {"n": 2})
        assert asked["to"] == bob.named("bob")
        answer = {"agent_id": bob.named("bob"), "kind": "answer", "reply_to": asked["number"]}
        await bob.call("send_message", conversation_id=talk, text="PEG.", **answer)
        heard = await ann.call("list_messages", after=asked["number"], **waits)
        [told] = heard["messages"]
        assert (told["text"], told["author"], told["reply_to"]) == ("PEG.", bob.named("bob"), 1)
        await look_on(operator, talk, about)


async def look_on(operator: Caller, talk: str, about: dict[str, Any]) -> None:
    """Outsiders are refused; the whole is found, asked of the graph, and closed."""
    said = {"conversation_id": talk, "text": "Hello"}
    refused = await operator.refused("send_message", **said, agent_id=operator.named("eve"))
    assert refused.data["code"] == "not_a_member"
    for name, value in about.items():
        listed = await operator.call("list_conversations", status="open", **{name: value})
        assert [one["id"] for one in listed["conversations"]] == [talk]
    listed = await operator.call("list_conversations", agent_id=operator.named("eve"))
    assert listed["conversations"] == []
    rows = await operator.call("run_named_query", name="messages", params={"conversation_id": talk})
    assert [(row["author_kind"], row["to_ids"], row["replies"]) for row in rows["rows"]] == [
        ("agent", [operator.named("bob")], []),
        ("agent", [], [1]),
    ]
    closed = await operator.call("close_conversation", conversation_id=talk, reason="clear")
    assert (closed["conversation"]["status"], closed["conversation"]["messages"]) == ("closed", 2)
    assert (await operator.call("get_conversation", conversation_id=talk))["conversation"] == (
        closed["conversation"]
    )
    refused = await operator.refused("send_message", **said)
    assert refused.data["code"] == "conversation_closed"
