"""Decisions about artifacts."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.core.types import blob_reference
from agent_orchestration.domain.artifacts.commands import AddArtifact
from agent_orchestration.domain.artifacts.events import ArtifactAdded
from agent_orchestration.domain.artifacts.model import Artifact, artifact_id
from agent_orchestration.domain.tasks.guards import held_task


def add_artifact(
    state: TenantState, command: AddArtifact, _context: CommandContext
) -> ArtifactAdded | Nothing:
    """The same again is nothing to do, also after the attempt; other content needs another name."""
    named = artifact_id(command.task_id, command.attempt, command.name)
    artifact = state.get(Artifact, named)
    content = blob_reference(command.content)
    if artifact is not None and (artifact.agent_id, artifact.media_type, artifact.sha256) == (
        command.agent_id,
        command.media_type,
        content.digest,
    ):
        return Nothing({"artifact_id": named})
    held_task(state, command)
    if artifact is not None:
        raise Rejected(
            "already_exists",
            f"name: attempt {command.attempt} at task {command.task_id} has produced another"
            f" {command.name}, which stays as it is; choose another name",
            field="name",
            artifact_id=named,
        )
    return ArtifactAdded(
        artifact_id=named,
        task_id=command.task_id,
        agent_id=command.agent_id,
        attempt=command.attempt,
        name=command.name,
        media_type=command.media_type,
        content=command.content,
    )
