"""Artifacts as tools show them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from agent_orchestration.core.errors import NotFound
from agent_orchestration.core.tool import Gateway, Output
from agent_orchestration.core.torn_reads import read_whole

Encoding = Literal["text", "base64"]
"""How content is written as text: as it is, or bytes in base64."""


class ArtifactView(BaseModel):
    """An artifact as the graph has it; its bytes are the resource `blob://{sha256}`."""

    id: str
    task_id: str
    name: str
    attempt: int = Field(description="the attempt at the task that produced it")
    agent_id: str
    media_type: str
    size: int = Field(description="in bytes")
    sha256: str
    created_at: datetime


class ArtifactAnswer(Output):
    """An artifact, and the sequence number at which it was so."""

    artifact: ArtifactView
    seq: int


class ArtifactContent(ArtifactAnswer):
    """An artifact with its content, where that is at most 64 KB."""

    content: str | None = Field(default=None, description="absent where it is larger")
    encoding: Encoding | None = Field(default=None, description="what `content` is")


class Artifacts(Output):
    """A page of artifacts."""

    artifacts: list[ArtifactView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


@read_whole
async def artifact_answer(
    gateway: Gateway, task_id: str, name: str, attempt: int | None, seq: int = 0
) -> dict[str, Any]:
    """The fields of an `ArtifactAnswer`; `NotFound` where the task produced nothing of the name."""
    rows = await gateway.ask(
        "artifact", at_least=seq, task_id=task_id, artifact_name=name, attempt=attempt
    )
    if not rows:
        which = "" if attempt is None else f" in attempt {attempt}"
        raise NotFound(
            "unknown_artifact",
            f"name: task {task_id} has produced no {name}{which}; see list_artifacts",
            field="name",
            task_id=task_id,
        )
    return {
        "artifact": ArtifactView.model_validate(rows[0]),
        "seq": max(seq, rows.seq),
        "stale": rows.stale or None,
    }
