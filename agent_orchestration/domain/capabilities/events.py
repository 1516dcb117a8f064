"""Facts about capabilities."""

from agent_orchestration.core.messages import Event


class CapabilityDefined(Event, frozen=True, kw_only=True):
    """A capability was described."""

    ABOUT = "name"
    REPLY = ("name",)

    name: str
    category: str | None = None
    description: str | None = None
