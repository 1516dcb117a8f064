"""Tools about conversations."""

from typing import Annotated, Any, Literal, cast

from pydantic import Field

from agent_orchestration.core.errors import Forbidden, Rejected
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.torn_reads import read_whole
from agent_orchestration.core.types import (
    BLOB_KEY,
    Cursor,
    Id,
    Key,
    Line,
    PageLimit,
    Text,
    Title,
    json_text,
    json_value,
)
from agent_orchestration.domain.conversations.commands import (
    CloseConversation,
    OpenConversation,
    SendMessage,
)
from agent_orchestration.domain.conversations.model import MessageKind
from agent_orchestration.domain.conversations.views import (
    ConversationAnswer,
    Conversations,
    MessageAnswer,
    Messages,
    conversation_answer,
    conversation_view,
    message_view,
)

ConversationId = Annotated[Id, Field(max_length=100, description="the conversation's id")]
Speaker = Annotated[Id | None, Field(description="the agent that speaks (default: you)")]
Words = Annotated[Text, Field(min_length=1, description="what is said, up to 10,000 characters")]
Kind = Annotated[MessageKind, Field(description="what it is meant as")]
Data = Annotated[Any, Field(description="JSON that goes with it, up to 10 MB")]
Recipient = Annotated[Id | None, Field(description="the agent that it is for (default: everybody)")]
LAST_MESSAGES = 200
"""Among so many of the last messages a question is looked for."""
Number = Annotated[int, Field(ge=1, le=2**31)]


@tool(title="Open a conversation", role=Role.AGENT, toolsets=("converse",))
async def open_conversation(
    gateway: Gateway,
    topic: Annotated[Title, Field(description="what it is about, in one line")],
    id: Annotated[
        Id | None, Field(max_length=100, description="chosen for you if left out")
    ] = None,
    task_id: Annotated[Id | None, Field(description="the task that it is about")] = None,
    team_id: Annotated[Id | None, Field(description="only its members may take part")] = None,
    agent_id: Speaker = None,
    text: Annotated[Words | None, Field(description="the first message")] = None,
    kind: Kind = "message",
    data: Data = None,
    to: Recipient = None,
    idempotency_key: Key | None = None,
) -> ConversationAnswer:
    """Begin a conversation, with a first message if you give its `text`.

    Opening one that is open already, without a message, is harmless: you get it as it is.
    """
    command = OpenConversation(
        conversation_id=id,
        topic=topic,
        task_id=task_id,
        team_id=team_id,
        agent_id=_speaker(gateway, agent_id),
        text=text,
        kind=kind,
        data=json_text(data, "data"),
        to=to,
    )
    result = await gateway.submit(command, key=idempotency_key)
    fields = await conversation_answer(gateway, result.data["conversation_id"], result.seq)
    return ConversationAnswer(**fields)


@tool(title="Send a message", role=Role.AGENT, toolsets=("converse",))
async def send_message(
    gateway: Gateway,
    conversation_id: ConversationId,
    text: Words,
    agent_id: Speaker = None,
    kind: Kind = "message",
    to: Recipient = None,
    reply_to: Annotated[
        Number | None, Field(description="the number of the message that it replies to")
    ] = None,
    data: Data = None,
    idempotency_key: Key | None = None,
) -> MessageAnswer:
    """Say something in a conversation; `list_messages` waits for what others say.

    Everybody can read it. In a team's conversation only its members speak and are spoken to.
    """
    command = SendMessage(
        conversation_id=conversation_id,
        agent_id=_speaker(gateway, agent_id),
        text=text,
        kind=kind,
        data=json_text(data, "data"),
        to=to,
        reply_to=reply_to,
    )
    result = await gateway.submit(command, key=idempotency_key)
    return await _message_answer(gateway, conversation_id, result.data["number"], result.seq)


@tool(title="Approve a plan", role=Role.OPERATOR, toolsets=("converse",))
async def approve_plan(
    gateway: Gateway,
    task_id: Annotated[Id, Field(max_length=100, description="the task that plan_goal answered")],
    approved: Annotated[bool, Field(description="whether the plan is to be carried out")] = True,
    comment: Annotated[Words | None, Field(description="what the next draft has to mend")] = None,
    question: Annotated[
        Number | None, Field(description="the `question` in the progress: that draft and no other")
    ] = None,
    idempotency_key: Key | None = None,
) -> MessageAnswer:
    """Say whether the draft that a goal's task shows in its progress is to be carried out.

    Refused with a comment, another draft is made; without one, the goal is given up.
    """
    number = await _draft_question(gateway, task_id, question)
    data = {"approved": approved, **({} if comment is None else {"comment": comment})}
    command = SendMessage(
        conversation_id=task_id,
        text=comment or ("Approved." if approved else "Refused."),
        kind="answer",
        reply_to=number,
        data=json_text(data, "comment"),
    )
    # The same answer to the same question is given once.
    key = idempotency_key or f"{task_id}:answer:{number}"
    result = await gateway.submit(command, key=key)
    return await _message_answer(gateway, task_id, result.data["number"], result.seq)


@tool(
    title="Close a conversation",
    role=Role.AGENT,
    toolsets=("converse",),
    destructive=True,
)
async def close_conversation(
    gateway: Gateway,
    conversation_id: ConversationId,
    agent_id: Speaker = None,
    reason: Annotated[Line | None, Field(description="why, for people")] = None,
    idempotency_key: Key | None = None,
) -> ConversationAnswer:
    """End a conversation: nothing more can be said in it. It stays in the graph, to be read."""
    command = CloseConversation(
        conversation_id=conversation_id, agent_id=_speaker(gateway, agent_id), reason=reason
    )
    result = await gateway.submit(command, key=idempotency_key)
    return ConversationAnswer(**await conversation_answer(gateway, conversation_id, result.seq))


@tool(title="Get a conversation", role=Role.VIEWER, toolsets=("converse",), read_only=True)
async def get_conversation(gateway: Gateway, conversation_id: ConversationId) -> ConversationAnswer:
    """One conversation: what it is about, and how many messages it has."""
    return ConversationAnswer(**await conversation_answer(gateway, conversation_id, 0))


@tool(title="List conversations", role=Role.VIEWER, toolsets=("converse",), read_only=True)
async def list_conversations(
    gateway: Gateway,
    status: Annotated[
        Literal["open", "closed"] | None, Field(description="only in this status")
    ] = None,
    task_id: Annotated[Id | None, Field(description="only about this task")] = None,
    team_id: Annotated[Id | None, Field(description="only this team's")] = None,
    agent_id: Annotated[
        Id | None, Field(description="only where this agent sent or got a message")
    ] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Conversations:
    """List conversations page by page, in order of id."""
    rows = await gateway.ask(
        "conversations",
        status=status,
        task_id=task_id,
        team_id=team_id,
        agent_id=agent_id,
        after_id=cursor or "",
        limit=limit + 1,
    )
    found = [conversation_view(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Conversations(conversations=found, next_cursor=more, stale=rows.stale or None)


@tool(title="List messages", role=Role.VIEWER, toolsets=("converse",), read_only=True)
async def list_messages(
    gateway: Gateway,
    conversation_id: ConversationId,
    after: Annotated[int, Field(ge=0, le=2**31, description="only with higher numbers")] = 0,
    limit: PageLimit = 50,
    wait_seconds: Annotated[
        float, Field(ge=0, le=50, description="wait so long for the next message")
    ] = 0.0,
) -> Messages:
    """The messages of a conversation in order. With `wait_seconds`, where there is none after
    `after`, wait for one; the answer comes at once where the conversation is closed."""
    remaining = wait_seconds
    while True:
        answer = ConversationAnswer(**await conversation_answer(gateway, conversation_id, 0))
        conversation = answer.conversation
        if conversation.messages > after or conversation.status == "closed" or remaining <= 0:
            break
        remaining = await gateway.changed(answer.seq, remaining)
    rows = await gateway.ask("messages", conversation_id=conversation_id, after=after, limit=limit)
    messages = [message_view(row) for row in rows]
    return Messages(
        messages=messages,
        next_after=messages[-1].number if messages else after,
        status=conversation.status,
        stale=rows.stale or None,
    )


@read_whole
async def _message_answer(
    gateway: Gateway, conversation_id: str, number: int, seq: int
) -> MessageAnswer:
    rows = await gateway.ask(
        "messages", at_least=seq, conversation_id=conversation_id, after=number - 1, limit=1
    )
    return MessageAnswer(
        conversation_id=conversation_id,
        message=message_view(rows[0]),
        seq=max(seq, rows.seq),
        stale=rows.stale or None,
    )


async def _draft_question(gateway: Gateway, conversation_id: str, wanted: int | None) -> int:
    """The number of the last question about a draft. Raises `Rejected` where there is none, where
    it is not the one that is wanted, or where somebody else has answered it."""
    found = await gateway.ask("conversation", conversation_id=conversation_id)
    after = max(0, found[0]["messages"] - LAST_MESSAGES) if found else 0
    rows = await gateway.ask(
        "messages", conversation_id=conversation_id, after=after, limit=LAST_MESSAGES
    )
    spoken = [row for row in rows if row["author_kind"] == "principal"]
    drafts = [row["number"] for row in spoken if row["kind"] == "question" and _has_draft(row)]
    if not drafts:
        problem = "no plan of task {} waits for approval; wait until its progress says so"
        raise _unapproved(problem.format(conversation_id), "task_id")
    if wanted not in (None, drafts[-1]):
        problem = f"{wanted} is not the last draft; look at the one of question {drafts[-1]}"
        raise _unapproved(problem, "question")
    for row in spoken:
        answers = row["kind"] == "answer" and drafts[-1] in row["replies"]
        if answers and row["author"] != gateway.principal.id:
            problem = f"the plan of task {conversation_id} was answered by {row['author']} already"
            raise _unapproved(problem, "task_id")
    return drafts[-1]


def _has_draft(row: dict[str, Any]) -> bool:
    data = json_value(row["data"])
    return isinstance(data, dict) and not {"draft", BLOB_KEY}.isdisjoint(cast("Any", data))


def _unapproved(problem: str, field: str) -> Rejected:
    return Rejected("nothing_to_approve", f"{field}: {problem}", field=field)


def _speaker(gateway: Gateway, agent_id: str | None) -> str | None:
    """The agent that speaks, None where it is the principal itself. Raises `Forbidden` for one in
    the role of an agent without being any."""
    principal = gateway.principal
    if principal.role == Role.AGENT and principal.agent_id is None:
        raise Forbidden(
            "no_agent",
            "agent_id: you have the role agent, but act for no agent; name a principal that does",
            field="agent_id",
        )
    return agent_id or principal.agent_id
