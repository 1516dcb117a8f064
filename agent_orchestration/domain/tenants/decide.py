"""Decisions about a tenant."""

from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.tenants.commands import RaiseRules
from agent_orchestration.domain.tenants.events import RulesRaised


def raise_rules(
    state: TenantState, command: RaiseRules, _context: CommandContext
) -> RulesRaised | Nothing:
    """Rules are never lowered. Whether this program knows the new ones, the fold finds out."""
    if command.rules <= state.rules:
        return Nothing({"rules": state.rules})
    return RulesRaised(rules=command.rules)
