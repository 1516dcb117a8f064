"""What facts about a tenant change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tenants.events import RulesRaised


def rules_raised(state: TenantState, event: RulesRaised, _context: EventContext) -> None:
    """The rules are in force from the next event on."""
    state.rules = event.rules
