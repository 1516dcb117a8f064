"""Intentions about conversations."""

from typing import Annotated

from msgspec import Meta

from agent_orchestration.core.entities import Entity, Json
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import ID_PATTERN, Id, Line, Text, Title
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.conversations.model import Conversation, MessageKind
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.model import Team

Needs = tuple[tuple[type[Entity], str], ...]

#: Short enough for the id of a message, which ends with its number.
ConversationId = Annotated[str, Meta(pattern=ID_PATTERN, max_length=100)]
MessageText = Annotated[Text, Meta(min_length=1)]
MessageNumber = Annotated[int, Meta(ge=1, le=2**31)]


class OpenConversation(Command, frozen=True, kw_only=True):
    """Begin a conversation, with a first message where there is a `text`. `agent_id` is the agent
    that opens it, None where the principal itself does."""

    CREATES = ("conversation_id", Conversation, "conversation")

    conversation_id: ConversationId | None = None
    topic: Title
    task_id: Id | None = None
    team_id: Id | None = None
    agent_id: Id | None = None
    text: MessageText | None = None
    kind: MessageKind = "message"
    data: Json | None = None
    to: Id | None = None

    def needs(self) -> Needs:
        """The conversation, in case there is one, what it is about, and the agents."""
        return (
            *_given(Conversation, self.conversation_id),
            *_given(Task, self.task_id),
            *_given(Team, self.team_id),
            *_given(Agent, self.agent_id, self.to),
        )


class SendMessage(Command, frozen=True, kw_only=True):
    """Say something in a conversation; `reply_to` is the number of one of its messages."""

    WORK = "goes on"

    conversation_id: ConversationId
    agent_id: Id | None = None
    text: MessageText
    kind: MessageKind = "message"
    data: Json | None = None
    to: Id | None = None
    reply_to: MessageNumber | None = None

    def needs(self) -> Needs:
        """The conversation and the agents."""
        return (
            (Conversation, self.conversation_id),
            *_given(Agent, self.agent_id, self.to),
        )


class CloseConversation(Command, frozen=True, kw_only=True):
    """End a conversation: nothing more is said in it."""

    WORK = "ends"

    conversation_id: ConversationId
    agent_id: Id | None = None
    reason: Line | None = None

    def needs(self) -> Needs:
        """The conversation and the agent."""
        return ((Conversation, self.conversation_id), *_given(Agent, self.agent_id))


def _given(cls: type[Entity], *ids: str | None) -> Needs:
    return tuple((cls, one) for one in ids if one is not None)
