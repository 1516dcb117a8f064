"""Tools about a tenant."""

from pydantic import Field

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.folding import RULES
from agent_orchestration.core.tool import Gateway, Output, Role, tool
from agent_orchestration.core.types import Key
from agent_orchestration.domain.tenants.commands import RaiseRules


class Rules(Output):
    """The version of the rules that is now in force."""

    rules: int
    raised: bool = Field(description="false: it was in force already")
    seq: int


@tool(title="Raise the rules", role=Role.ADMIN, toolsets=("admin",))
async def raise_rules(gateway: Gateway, idempotency_key: Key | None = None) -> Rules:
    """Decide by the newest rules that this program knows, from now on and for good.

    After an upgrade the rules stay as they were until this is called; `get_overview` shows both
    numbers. A program that does not know the new rules then no longer works on this data: while
    one that decides is still running, this is refused.
    """
    common = await gateway.common_rules()
    if common < RULES:
        raise Rejected(
            "older_programs",
            f"a processor is running that knows rules {common} only, not {RULES}: upgrade or stop"
            " it, then repeat (`consumer-groups describe` shows who is there)",
        )
    result = await gateway.submit(RaiseRules(rules=RULES), key=idempotency_key)
    raised = result.status == "accepted"
    return Rules(rules=result.data["rules"], raised=raised, seq=result.seq)
