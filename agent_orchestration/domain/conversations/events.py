"""Facts about conversations."""

from agent_orchestration.core.messages import Event
from agent_orchestration.domain.conversations.model import Content


class ConversationOpened(Event, frozen=True, kw_only=True):
    """A conversation exists; `message` is the first one, from whoever opened it."""

    ABOUT = "conversation_id"
    REPLY = ("conversation_id",)

    conversation_id: str
    topic: str
    task_id: str | None
    team_id: str | None
    agent_id: str | None
    message: Content | None


class MessageSent(Event, frozen=True, kw_only=True):
    """Somebody said something: an agent, or the principal itself."""

    ABOUT = "conversation_id"
    REPLY = ("conversation_id", "number")

    conversation_id: str
    number: int
    agent_id: str | None
    message: Content


class ConversationClosed(Event, frozen=True, kw_only=True):
    """Nothing more is said in the conversation."""

    ABOUT = "conversation_id"
    REPLY = ("conversation_id",)

    conversation_id: str
    reason: str | None
