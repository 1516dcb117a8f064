"""Intentions about capabilities."""

from agent_orchestration.core.messages import Command
from agent_orchestration.core.types import Id, Line, Text


class DefineCapability(Command, frozen=True, kw_only=True):
    """Describe a capability; defining it again replaces the description."""

    name: Id
    category: Line | None = None
    description: Text | None = None
