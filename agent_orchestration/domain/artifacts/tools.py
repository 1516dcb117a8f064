"""Tools about artifacts."""

import base64 as codec
from typing import Annotated

from pydantic import Field

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import (
    BLOB_THRESHOLD,
    REQUEST_LIMIT,
    Attempt,
    Cursor,
    Id,
    Key,
    PageLimit,
)
from agent_orchestration.domain.artifacts.commands import AddArtifact
from agent_orchestration.domain.artifacts.model import ArtifactName, MediaType
from agent_orchestration.domain.artifacts.views import (
    ArtifactAnswer,
    ArtifactContent,
    Artifacts,
    ArtifactView,
    artifact_answer,
)

TaskId = Annotated[Id, Field(description="the task's id")]


@tool(title="Add an artifact", role=Role.AGENT, toolsets=("converse",))
async def add_artifact(
    gateway: Gateway,
    task_id: Annotated[Id, Field(description="the task that you carry out")],
    agent_id: Annotated[Id, Field(description="the agent that holds the task")],
    attempt: Annotated[Attempt, Field(description="the `attempt` that the claim answered")],
    name: ArtifactName,
    text: Annotated[str | None, Field(description="the content, up to 10 MB")] = None,
    base64: Annotated[
        str | None, Field(description="in place of `text`: bytes in base64, up to 10 MB of it")
    ] = None,
    media_type: Annotated[
        MediaType | None,
        Field(description="default: text/plain, for base64 application/octet-stream"),
    ] = None,
    idempotency_key: Key | None = None,
) -> ArtifactAnswer:
    """Keep a file that your task produced, besides its result.

    It stays as it is: in the same attempt other content needs another name. What a later attempt
    produces under the name stands beside it.
    """
    usual = "text/plain" if base64 is None else "application/octet-stream"
    command = AddArtifact(
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        name=name,
        media_type=media_type or usual,
        content=await gateway.keep_blob(_content(text, base64)),
    )
    result = await gateway.submit(command, key=idempotency_key)
    return ArtifactAnswer(**await artifact_answer(gateway, task_id, name, attempt, result.seq))


@tool(title="List artifacts", role=Role.VIEWER, toolsets=("converse",), read_only=True)
async def list_artifacts(
    gateway: Gateway,
    task_id: Annotated[
        Id | None, Field(description="only of this task or plan, with its subtasks")
    ] = None,
    agent_id: Annotated[Id | None, Field(description="only what this agent produced")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Artifacts:
    """List what tasks produced besides their results, page by page, in order of id."""
    rows = await gateway.ask(
        "artifacts", task_id=task_id, agent_id=agent_id, after_id=cursor or "", limit=limit + 1
    )
    found = [ArtifactView.model_validate(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Artifacts(artifacts=found, next_cursor=more, stale=rows.stale or None)


@tool(title="Get an artifact", role=Role.VIEWER, toolsets=("converse",), read_only=True)
async def get_artifact(
    gateway: Gateway,
    task_id: TaskId,
    name: ArtifactName,
    attempt: Annotated[
        Attempt | None, Field(description="the attempt that produced it (default: the last)")
    ] = None,
) -> ArtifactContent:
    """One artifact, with its content up to 64 KB; what is larger is read as the resource
    `blob://{sha256}`."""
    fields = await artifact_answer(gateway, task_id, name, attempt)
    artifact: ArtifactView = fields["artifact"]
    if artifact.size > BLOB_THRESHOLD:
        return ArtifactContent(**fields)
    content = await gateway.read_blob(artifact.sha256)
    try:
        return ArtifactContent(**fields, text=content.decode())
    except UnicodeDecodeError:
        return ArtifactContent(**fields, base64=codec.b64encode(content).decode())


def _content(text: str | None, base64: str | None) -> bytes:
    """The bytes. Raises `Rejected`."""
    if (text is None) == (base64 is None):
        raise _bad("text", "give either text or base64")
    try:
        content = codec.b64decode(base64, validate=True) if base64 else (text or "").encode()
    except UnicodeEncodeError:
        raise _bad("text", "contains a lone surrogate; send valid Unicode, or base64") from None
    except ValueError as error:
        raise _bad("base64", f"is no base64: {error}") from None
    if len(content) > REQUEST_LIMIT:
        raise _bad("text", f"has {len(content)} bytes; at most {REQUEST_LIMIT} are allowed")
    return content


def _bad(field: str, problem: str) -> Rejected:
    return Rejected("invalid_argument", f"{field}: {problem}", field=field)
