"""Facts about a tenant."""

from agent_orchestration.core.messages import Event


class RulesRaised(Event, frozen=True, kw_only=True):
    """What follows was decided under this version of the rules."""

    ABOUT = None
    REPLY = ("rules",)

    rules: int
