"""Facts about artifacts."""

from agent_orchestration.core.messages import Event


class ArtifactAdded(Event, frozen=True, kw_only=True):
    """An attempt at a task produced something; `content` names the blob."""

    ABOUT = "artifact_id"
    REPLY = ("artifact_id",)

    artifact_id: str
    task_id: str
    agent_id: str
    attempt: int
    name: str
    media_type: str
    content: str
