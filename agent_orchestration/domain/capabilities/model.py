"""The entity `Capability`."""

from agent_orchestration.core.entities import Entity, Index
from agent_orchestration.core.state import TenantState


class Capability(Entity, kw_only=True):
    """Something an agent can do, known by its name (its `id`)."""

    LABEL = "Capability"
    INDEXES = (
        Index("capability_name_index", ("name",)),
        Index("capability_category_index", ("category",)),
    )

    name: str
    category: str | None = None
    description: str | None = None


def ensure_capability(state: TenantState, name: str) -> None:
    """Make the capability known: naming one in an agent or a task is enough."""
    if not state.has(Capability, name):
        state.add(Capability(id=name, name=name))
