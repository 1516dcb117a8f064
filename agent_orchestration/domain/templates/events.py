"""Facts about templates."""

from agent_orchestration.core.messages import Event
from agent_orchestration.domain.agents.model import AgentKind, Skill


class TemplateDefined(Event, frozen=True, kw_only=True):
    """A version of a template exists. `previous` is the id of the version before it."""

    ABOUT = "template_id"
    REPLY = ("template_id", "name", "version")

    template_id: str
    name: str
    version: int
    kind: AgentKind
    description: str | None
    skills: tuple[Skill, ...]
    labels: dict[str, str]
    max_concurrency: int
    heartbeat_seconds: int | None
    settings: str | None
    previous: str | None


class AgentInstantiated(Event, frozen=True, kw_only=True):
    """An agent was made from a template."""

    ABOUT = "agent_id"
    REPLY = ("agent_id", "template", "version")

    agent_id: str
    template: str
    version: int
    name: str
    kind: AgentKind
    skills: tuple[Skill, ...]
    labels: dict[str, str]
    max_concurrency: int
    heartbeat_seconds: int | None
