"""Decisions about conversations."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import known, refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import membership
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
from agent_orchestration.domain.conversations.model import Content, Conversation
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.teams.guards import working_team
from agent_orchestration.domain.teams.selection import known_agent


def open_conversation(
    state: TenantState, command: OpenConversation, context: CommandContext
) -> ConversationOpened | Nothing:
    """A new conversation; to open one again that is open is nothing to do."""
    conversation_id = command.conversation_id or context.new_id("conversation")
    found = state.get(Conversation, conversation_id)
    if found is not None and _is_same(found, command):
        return Nothing({"conversation_id": conversation_id})
    refuse_taken(state, Conversation, conversation_id, "use send_message, or choose another id")
    if command.text is None and (command.to is not None or command.data is not None):
        raise Rejected(
            "invalid_argument",
            "text: the first message has none; send it, or leave out `to` and `data` as well",
            field="text",
        )
    if command.task_id is not None:
        known(state, Task, command.task_id)
    if command.team_id is not None:
        working_team(state, command.team_id)
    _check_agents(state, command.team_id, agent_id=command.agent_id, to=command.to)
    return ConversationOpened(
        conversation_id=conversation_id,
        topic=command.topic,
        task_id=command.task_id,
        team_id=command.team_id,
        agent_id=command.agent_id,
        message=None if command.text is None else _content(command, command.text),
    )


def send_message(state: TenantState, command: SendMessage, _context: CommandContext) -> MessageSent:
    """The next message of an open conversation."""
    conversation = known(state, Conversation, command.conversation_id)
    if not conversation.is_live():
        raise Rejected(
            "conversation_closed",
            f"conversation_id: conversation {conversation.id} is closed; open another",
            field="conversation_id",
            conversation_id=conversation.id,
        )
    _check_agents(state, conversation.team_id, agent_id=command.agent_id, to=command.to)
    if command.reply_to is not None and command.reply_to > conversation.messages:
        raise Rejected(
            "unknown_message",
            f"reply_to: conversation {conversation.id} has {conversation.messages} messages; give"
            " the number of one of them, see list_messages",
            field="reply_to",
            conversation_id=conversation.id,
            messages=conversation.messages,
        )
    return MessageSent(
        conversation_id=conversation.id,
        number=conversation.messages + 1,
        agent_id=command.agent_id,
        message=_content(command, command.text, command.reply_to),
    )


def close_conversation(
    state: TenantState, command: CloseConversation, _context: CommandContext
) -> ConversationClosed | Nothing:
    """Whoever may say something in it may close it."""
    conversation = known(state, Conversation, command.conversation_id)
    if not conversation.is_live():
        return Nothing({"conversation_id": conversation.id})
    _check_agents(state, conversation.team_id, agent_id=command.agent_id)
    return ConversationClosed(conversation_id=conversation.id, reason=command.reason)


def _is_same(found: Conversation, command: OpenConversation) -> bool:
    """Whether opening it again would lose nothing: a message would be lost."""
    asked = command.topic, command.task_id, command.team_id
    same = (found.topic, found.task_id, found.team_id) == asked
    return same and found.is_live() and command.text is None


def _content(
    command: OpenConversation | SendMessage, text: str, reply_to: int | None = None
) -> Content:
    return Content(
        kind=command.kind, text=text, data=command.data, to=command.to, reply_to=reply_to
    )


def _check_agents(state: TenantState, team_id: str | None, **agents: str | None) -> None:
    """Agents by the arguments that name them: each has to be there, and in the team's conversation
    to be a member."""
    for field, agent_id in agents.items():
        if agent_id is None:
            continue
        agent = known_agent(state, agent_id, field)
        if team_id is not None and membership(team_id) not in agent.abilities:
            raise Rejected(
                "not_a_member",
                f"{field}: the conversation is that of team {team_id}, and agent {agent_id} is no"
                " member; see get_team",
                field=field,
                agent_id=agent_id,
                team_id=team_id,
            )
