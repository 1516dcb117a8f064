"""What facts about artifacts change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.core.types import blob_reference
from agent_orchestration.domain.artifacts.events import ArtifactAdded
from agent_orchestration.domain.artifacts.model import Artifact


def artifact_added(state: TenantState, event: ArtifactAdded, context: EventContext) -> None:
    """The artifact exists."""
    content = blob_reference(event.content)
    state.add(
        Artifact(
            id=event.artifact_id,
            task_id=event.task_id,
            agent_id=event.agent_id,
            attempt=event.attempt,
            name=event.name,
            media_type=event.media_type,
            size=content.bytes,
            sha256=content.digest,
            created_at=context.at,
        )
    )
