"""Intentions about artifacts."""

from typing import Annotated

from msgspec import Meta

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import BLOB_PATTERN, Attempt, Id
from agent_orchestration.domain.artifacts.model import (
    Artifact,
    ArtifactName,
    MediaType,
    artifact_id,
)
from agent_orchestration.domain.tasks.model import Task

Content = Annotated[str, Meta(pattern=BLOB_PATTERN)]


class AddArtifact(Command, frozen=True, kw_only=True):
    """Keep what the holder of a task has produced; `content` names the blob."""

    WORK = "goes on"

    task_id: Id
    agent_id: Id
    attempt: Attempt
    name: ArtifactName
    media_type: MediaType
    content: Content

    def needs(self) -> tuple[tuple[type[Entity], str], ...]:
        """The task, and the artifact in case there is one."""
        named = artifact_id(self.task_id, self.attempt, self.name)
        return ((Task, self.task_id), (Artifact, named))
