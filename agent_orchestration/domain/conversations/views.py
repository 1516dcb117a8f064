"""Conversations and messages as tools show them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.guards import unknown
from agent_orchestration.core.tool import Gateway, Output
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.core.types import json_value
from agent_orchestration.domain.conversations.model import Conversation, MessageKind


class ConversationView(BaseModel):
    """A conversation as the graph has it."""

    id: str
    topic: str
    status: Literal["open", "closed"]
    messages: int = Field(description="how many: the number of the last one")
    task_id: str | None = Field(default=None, description="what it is about")
    team_id: str | None = Field(default=None, description="only its members take part")
    opened_by: str = Field(description="an agent or a principal")
    opened_at: datetime
    closed_at: datetime | None = None
    reason: str | None = Field(default=None, description="why it was closed")


class ConversationAnswer(Output):
    """A conversation, and the sequence number at which it was so."""

    conversation: ConversationView
    seq: int


class Conversations(Output):
    """A page of conversations."""

    conversations: list[ConversationView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


class MessageView(BaseModel):
    """A message as the graph has it. Data over 64 KB shows as `{"$blob": digest, "bytes": size}`;
    read it as the resource `blob://{digest}`."""

    number: int = Field(description="1 is the conversation's first")
    kind: MessageKind
    author: str
    author_kind: Literal["agent", "principal"]
    to: str | None = Field(default=None, description="the agent that it is for; absent: everybody")
    reply_to: int | None = Field(default=None, description="the number of another message")
    text: str
    data: Any = None
    sent_at: datetime


class MessageAnswer(Output):
    """A message, its conversation, and a sequence number at which it is there."""

    conversation_id: str
    message: MessageView
    seq: int


class Messages(Output):
    """Messages of a conversation in order."""

    messages: list[MessageView]
    next_after: int = Field(description="pass as `after` for what follows")
    status: Literal["open", "closed"] = Field(description="closed: no message follows the last one")


@read_whole
async def conversation_answer(gateway: Gateway, conversation_id: str, seq: int) -> dict[str, Any]:
    """The fields of a `ConversationAnswer`; `NotFound` where there is no such conversation."""
    rows = await gateway.ask("conversation", at_least=seq, conversation_id=conversation_id)
    if not rows:
        raise unknown(Conversation, conversation_id)
    return {
        "conversation": conversation_view(rows[0]),
        "seq": max(seq, rows.seq),
        "stale": rows.stale or None,
    }


def conversation_view(row: dict[str, Any]) -> ConversationView:
    """A conversation from a row of a question."""
    links = {name: next(iter(row[f"{name}s"]), None) for name in ("task_id", "team_id")}
    return ConversationView.model_validate({**row, **links})


def message_view(row: dict[str, Any]) -> MessageView:
    """A message from a row of the question `messages`."""
    return MessageView.model_validate(
        {
            **row,
            "to": next(iter(row["to_ids"]), None),
            "reply_to": next(iter(row["replies"]), None),
            "data": json_value(row["data"]),
        }
    )
