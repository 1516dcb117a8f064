"""What facts about capabilities change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.capabilities.events import CapabilityDefined
from agent_orchestration.domain.capabilities.model import Capability, ensure_capability


def capability_defined(
    state: TenantState, event: CapabilityDefined, _context: EventContext
) -> None:
    """The capability exists with this description."""
    ensure_capability(state, event.name)
    capability = state.change(Capability, event.name)
    capability.category = event.category
    capability.description = event.description
