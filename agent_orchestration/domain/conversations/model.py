"""The entities `Conversation` and `Message`."""

from typing import Literal

import msgspec

from agent_orchestration.core.entities import Entity, Index, Json, Relationship, Time

MessageKind = Literal["message", "question", "answer", "handoff", "note"]


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a message says, to which agent (None: to everybody), and the number of the message that
    it replies to."""

    kind: MessageKind
    text: str
    data: str | None
    to: str | None
    reply_to: int | None


class Conversation(Entity, kw_only=True):
    """Messages in their order, maybe about a task and among the members of a team.

    `messages` counts them, so it is the number of the last one; `opened_by` is an agent or, where
    none opened it, a principal.
    """

    LABEL = "Conversation"
    RELATIONSHIPS = (
        Relationship("ABOUT_TASK", "task_id", "Task"),
        Relationship("OF_TEAM", "team_id", "Team"),
    )
    INDEXES = (Index("conversation_status_index", ("status",)),)
    LIVE = "n.status = 'open'"

    topic: str
    status: Literal["open", "closed"] = "open"
    task_id: str | None = None
    team_id: str | None = None
    messages: int = 0
    opened_by: str = ""
    opened_at: Time = 0
    closed_at: Time | None = None
    reason: str | None = None

    def is_live(self) -> bool:
        """A closed conversation never changes again."""
        return self.status == "open"


class Message(Entity, kw_only=True):
    """One message of a conversation; its id is `conversation:number`, the first number is 1.

    `author` is the agent `agent_id` or, where no agent sent it, a principal.
    """

    LABEL = "Message"
    RELATIONSHIPS = (
        Relationship("PART_OF", "conversation_id", "Conversation"),
        Relationship("SENT_BY", "agent_id", "Agent"),
        Relationship("SENT_TO", "to", "Agent"),
        Relationship("REPLY_TO", "reply_to", "Message"),
    )
    DERIVED = ("author_kind",)
    LIVE = "false"

    conversation_id: str
    number: int
    kind: MessageKind
    author: str
    agent_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    text: str
    data: Json | None = None
    sent_at: Time = 0

    @property
    def author_kind(self) -> str:
        """Whether an agent sent it, or a principal itself."""
        return "principal" if self.agent_id is None else "agent"

    def is_live(self) -> bool:
        """No message ever changes: none is needed for a decision."""
        return False


def message_id(conversation_id: str, number: int) -> str:
    """The id of a message of a conversation."""
    return f"{conversation_id}:{number}"
