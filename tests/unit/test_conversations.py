"""Conversations: who may say what in them, and how they end."""

import pytest

from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.agents.commands import DrainAgent, RetireAgent
from agent_orchestration.domain.conversations.commands import (
    CloseConversation,
    OpenConversation,
    SendMessage,
)
from agent_orchestration.domain.conversations.events import (
    ConversationClosed,
    ConversationOpened,
    MessageSent,
)
from agent_orchestration.domain.conversations.model import Content
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.domain.teams.commands import DisbandTeam, UpdateTeam
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, form, say, talk, task


def company(*commands: Command) -> Domain:
    """Ann and Bob in the team `crew`, Cat outside of it, Old, who is retired, and a task."""
    hired = [agent(name) for name in ("ann", "bob", "cat", "old")]
    team = form(members=["ann", "bob"])
    return Domain().given(*hired, RetireAgent(agent_id="old"), team, task(), *commands)


def close(conversation_id: str = "talk", by: str | None = None) -> CloseConversation:
    return CloseConversation(conversation_id=conversation_id, agent_id=by, reason="done")


# ── opening


def test_a_conversation_is_about_a_task_and_among_a_team() -> None:
    domain = company()
    opened = domain.event(talk(task="parse", team="crew"), ConversationOpened)
    assert opened == ConversationOpened(
        conversation_id="talk",
        topic="The parser",
        task_id="parse",
        team_id="crew",
        agent_id=None,
        message=None,
    )
    talked = domain.conversation()
    assert (talked.topic, talked.task_id, talked.team_id) == ("The parser", "parse", "crew")
    assert (talked.status, talked.messages, talked.opened_at) == ("open", 0, START)
    assert talked.opened_by == "me"


def test_a_conversation_may_begin_with_a_message() -> None:
    domain = company()
    opened = domain.event(talk(text="Which grammar?", by="ann", to="bob"), ConversationOpened)
    said = Content(kind="message", text="Which grammar?", data=None, to="bob", reply_to=None)
    assert (opened.agent_id, opened.message) == ("ann", said)
    assert (domain.conversation().messages, domain.conversation().opened_by) == (1, "ann")
    first = domain.message(1)
    assert (first.id, first.conversation_id, first.number) == ("talk:1", "talk", 1)
    assert (first.author, first.author_kind, first.agent_id, first.to) == (
        *("ann", "agent", "ann"),
        "bob",
    )
    assert (first.text, first.reply_to, first.sent_at) == ("Which grammar?", None, START)


def test_a_conversation_without_an_id_gets_one_of_its_own() -> None:
    domain = company()
    first = domain.event(talk(None), ConversationOpened).conversation_id
    second = domain.event(talk(None), ConversationOpened).conversation_id
    assert first != second
    assert first.startswith("conversation-")


def test_opening_it_again_is_nothing_to_do() -> None:
    domain = company(talk(text="Hello", task="parse", team="crew"))
    assert domain.nothing(talk(task="parse", team="crew")) == {"conversation_id": "talk"}
    assert domain.nothing(talk(task="parse", team="crew", by="bob")) == {"conversation_id": "talk"}


@pytest.mark.parametrize(
    "command",
    [talk(text="Hello", task="parse"), talk(), talk(task="parse", team="crew")],
    ids=["a message would be lost", "another task", "another team"],
)
def test_another_conversation_needs_another_id(command: Command) -> None:
    refused = company(talk(text="Hello", task="parse")).refused(command)
    assert (refused.code, refused.details["field"]) == ("already_exists", "id")
    assert refused.details["conversation_id"] == "talk"


def test_a_closed_conversation_is_not_opened_again() -> None:
    assert company(talk(), close()).refused(talk()).code == "already_exists"


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (talk(task="ghost"), "unknown_task", "task_id"),
        (talk(team="ghost"), "unknown_team", "team_id"),
        (talk(by="ghost"), "unknown_agent", "agent_id"),
        (talk(by="old"), "agent_retired", "agent_id"),
        (talk(by="cat", team="crew"), "not_a_member", "agent_id"),
        (talk(text="Hello", to="ghost"), "unknown_agent", "to"),
        (talk(text="Hello", to="old"), "agent_retired", "to"),
        (talk(text="Hello", by="ann", to="cat", team="crew"), "not_a_member", "to"),
        (talk(to="bob"), "invalid_argument", "text"),
        (OpenConversation(topic="x", data="1"), "invalid_argument", "text"),
    ],
)
def test_a_conversation_that_cannot_be_is_refused(command: Command, code: str, field: str) -> None:
    refused = company().refused(command)
    assert (refused.code, refused.details["field"]) == (code, field)
    assert refused.reason.startswith(f"{field}: ")


def test_a_disbanded_team_has_no_new_conversations() -> None:
    domain = company(DisbandTeam(team_id="crew"))
    assert domain.refused(talk(team="crew")).code == "team_disbanded"


def test_a_finished_task_may_still_be_talked_about() -> None:
    domain = company(CancelTask(task_id="parse"))
    assert domain.event(talk(task="parse"), ConversationOpened).task_id == "parse"


# ── saying something


def test_messages_are_numbered_in_their_order() -> None:
    domain = company(talk(text="Which grammar?", by="ann")).pass_seconds(1)
    sent = domain.event(say("Any.", by="bob", to="ann", kind="answer", reply_to=1), MessageSent)
    assert sent == MessageSent(
        conversation_id="talk",
        number=2,
        agent_id="bob",
        message=Content(kind="answer", text="Any.", data=None, to="ann", reply_to=1),
    )
    assert sent.reply() == {"conversation_id": "talk", "number": 2}
    answer = domain.message(2)
    assert (answer.kind, answer.to, answer.reply_to) == ("answer", "ann", "talk:1")
    assert answer.sent_at == START + 1000
    assert domain.event(say(), MessageSent).number == 3
    assert domain.conversation().messages == 3


def test_each_conversation_counts_for_itself() -> None:
    domain = company(talk(), talk("other"), say(), say())
    assert domain.event(say(conversation="other"), MessageSent).number == 1


def test_who_is_no_agent_speaks_as_the_principal() -> None:
    domain = company(talk(team="crew"), say(by=None, to="bob"))
    message = domain.message(1)
    assert (message.author, message.author_kind, message.agent_id) == ("me", "principal", None)


def test_data_goes_with_a_message() -> None:
    domain = company(talk())
    domain.given(SendMessage(conversation_id="talk", text="Take it", kind="handoff", data="[1]"))
    assert (domain.message(1).kind, domain.message(1).data) == ("handoff", "[1]")


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (say(conversation="ghost"), "unknown_conversation", "conversation_id"),
        (say(conversation="over"), "conversation_closed", "conversation_id"),
        (say(by="ghost"), "unknown_agent", "agent_id"),
        (say(by="old"), "agent_retired", "agent_id"),
        (say(by="cat"), "not_a_member", "agent_id"),
        (say(to="ghost"), "unknown_agent", "to"),
        (say(to="old"), "agent_retired", "to"),
        (say(to="cat"), "not_a_member", "to"),
        (say(by=None, to="cat"), "not_a_member", "to"),
        (say(reply_to=2), "unknown_message", "reply_to"),
        (say(reply_to=2**31), "unknown_message", "reply_to"),
    ],
)
def test_what_cannot_be_said_is_refused(command: Command, code: str, field: str) -> None:
    domain = company(talk(team="crew"), talk("over"), close("over"), say())
    refused = domain.refused(command)
    assert (refused.code, refused.details["field"]) == (code, field)
    assert refused.reason.startswith(f"{field}: ")


def test_a_conversation_of_no_team_is_open_to_every_agent() -> None:
    domain = company(talk(), DrainAgent(agent_id="ann"))
    assert domain.event(say(by="cat", to="ann"), MessageSent).number == 1
    assert domain.event(say(by="ann", to="ann"), MessageSent).number == 2


def test_who_left_the_team_takes_no_part_any_more() -> None:
    domain = company(talk(team="crew"), say(by="bob"))
    domain.given(UpdateTeam(team_id="crew", remove=("bob",)))
    assert domain.refused(say(by="bob")).code == "not_a_member"
    assert domain.message(1).author == "bob"


# ── closing


def test_a_conversation_is_closed_with_a_reason() -> None:
    domain = company(talk(), say()).pass_seconds(1)
    event = domain.event(close(), ConversationClosed)
    assert event == ConversationClosed(conversation_id="talk", reason="done")
    talked = domain.conversation()
    assert (talked.status, talked.closed_at, talked.reason) == ("closed", START + 1000, "done")
    assert not talked.is_live()


def test_closing_again_is_nothing_to_do() -> None:
    domain = company(talk(), close())
    assert domain.nothing(close(by="old")) == {"conversation_id": "talk"}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (close("ghost"), "unknown_conversation"),
        (close(by="ghost"), "unknown_agent"),
        (close(by="old"), "agent_retired"),
        (close(by="cat"), "not_a_member"),
    ],
)
def test_only_who_takes_part_closes_it(command: Command, code: str) -> None:
    domain = company(talk(team="crew"))
    assert domain.refused(command).code == code
    domain.event(close(by="bob"), ConversationClosed)


def test_a_conversation_must_be_known() -> None:
    refused = Domain().refused(close())
    assert isinstance(refused, NotFound)
    assert "see list_conversations" in refused.reason


# ── memory


def test_a_message_is_needed_by_no_decision() -> None:
    domain = company(talk(), say())
    assert not domain.message(1).is_live()
    domain.state.evict(type(domain.message(1)), "talk:1")
    assert domain.event(say(reply_to=1), MessageSent).number == 2
