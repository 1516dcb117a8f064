"""Decisions about capabilities."""

from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.capabilities.commands import DefineCapability
from agent_orchestration.domain.capabilities.events import CapabilityDefined
from agent_orchestration.domain.capabilities.model import Capability


def define_capability(
    state: TenantState, command: DefineCapability, _context: CommandContext
) -> CapabilityDefined | Nothing:
    """Nothing to do when it is already described just so."""
    known = state.get(Capability, command.name)
    if known and (known.category, known.description) == (command.category, command.description):
        return Nothing({"name": command.name})
    return CapabilityDefined(
        name=command.name, category=command.category, description=command.description
    )
