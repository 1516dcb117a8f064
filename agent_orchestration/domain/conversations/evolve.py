"""What facts about conversations change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.conversations.events import (
    ConversationClosed,
    ConversationOpened,
    MessageSent,
)
from agent_orchestration.domain.conversations.model import (
    Content,
    Conversation,
    Message,
    message_id,
)


def conversation_opened(
    state: TenantState, event: ConversationOpened, context: EventContext
) -> None:
    """The conversation exists, and so does its first message."""
    first = event.message
    state.add(
        Conversation(
            id=event.conversation_id,
            topic=event.topic,
            task_id=event.task_id,
            team_id=event.team_id,
            messages=0 if first is None else 1,
            opened_by=event.agent_id or context.actor,
            opened_at=context.at,
        )
    )
    if first is not None:
        state.add(_message(event.conversation_id, 1, event.agent_id, first, context))


def message_sent(state: TenantState, event: MessageSent, context: EventContext) -> None:
    """One message more."""
    conversation_id, number = event.conversation_id, event.number
    state.change(Conversation, conversation_id).messages = number
    state.add(_message(conversation_id, number, event.agent_id, event.message, context))


def conversation_closed(
    state: TenantState, event: ConversationClosed, context: EventContext
) -> None:
    """Over."""
    conversation = state.change(Conversation, event.conversation_id)
    conversation.status = "closed"
    conversation.closed_at = context.at
    conversation.reason = event.reason


def _message(
    conversation_id: str,
    number: int,
    agent_id: str | None,
    content: Content,
    context: EventContext,
) -> Message:
    replied = content.reply_to
    return Message(
        id=message_id(conversation_id, number),
        conversation_id=conversation_id,
        number=number,
        kind=content.kind,
        author=agent_id or context.actor,
        agent_id=agent_id,
        to=content.to,
        reply_to=None if replied is None else message_id(conversation_id, replied),
        text=content.text,
        data=content.data,
        sent_at=context.at,
    )
