"""Tools about artifacts."""

import base64
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
    Encoding,
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
    content: Annotated[str, Field(description="text, or bytes in base64; up to 10 MB")],
    encoding: Annotated[Encoding, Field(description="what `content` is")] = "text",
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
    usual = "text/plain" if encoding == "text" else "application/octet-stream"
    command = AddArtifact(
        task_id=task_id,
        agent_id=agent_id,
        attempt=attempt,
        name=name,
        media_type=media_type or usual,
        content=await gateway.keep_blob(_decoded(content, encoding)),
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
        return ArtifactContent(**fields, content=content.decode(), encoding="text")
    except UnicodeDecodeError:
        text = base64.b64encode(content).decode()
        return ArtifactContent(**fields, content=text, encoding="base64")


def _decoded(content: str, encoding: Encoding) -> bytes:
    """The bytes. Raises `Rejected`."""
    try:
        if encoding == "base64":
            decoded = base64.b64decode(content, validate=True)
        else:
            decoded = content.encode()
    except UnicodeEncodeError:
        raise _bad_content("contains a lone surrogate; send valid Unicode, or base64") from None
    except ValueError as error:
        raise _bad_content(f"is no base64: {error}; send it as text, or encode it") from None
    if len(decoded) > REQUEST_LIMIT:
        raise _bad_content(f"has {len(decoded)} bytes; at most {REQUEST_LIMIT} are allowed")
    return decoded


def _bad_content(problem: str) -> Rejected:
    return Rejected("invalid_argument", f"content: {problem}", field="content")
