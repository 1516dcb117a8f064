"""The entity `Template`."""

import msgspec

from agent_orchestration.core.entities import Entity, Index, Json, Labels, Relationship, Time
from agent_orchestration.domain.agents.model import AgentKind, Skill


class Template(Entity):
    """One version of a template; its id is `name:version`. `previous` is the version before."""

    LABEL = "Template"
    RELATIONSHIPS = (
        Relationship("PROVIDES", "skills", "Capability", "capability", ("level",)),
        Relationship("EVOLVED_FROM", "previous", "Template"),
    )
    INDEXES = (Index("template_name_index", ("name",)),)

    name: str
    version: int
    kind: AgentKind
    description: str | None = None
    skills: tuple[Skill, ...] = ()
    previous: str | None = None
    labels: Labels = msgspec.field(default_factory=dict[str, str])
    max_concurrency: int = 1
    heartbeat_seconds: int | None = None
    settings: Json | None = None
    defined_at: Time = 0


def template_id(name: str, version: int) -> str:
    """The id of a version of a template."""
    return f"{name}:{version}"
