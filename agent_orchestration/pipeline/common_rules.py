"""The version of the rules that everybody who may decide knows."""

from agent_orchestration.backends.log import Log
from agent_orchestration.core.folding import RULES
from agent_orchestration.pipeline.topology import GROUP


async def common_rules(log: Log) -> int:
    """The newest version that every process knows that may decide. Raises `Unavailable`."""
    return max(min([RULES, *await log.member_rules(GROUP)]), 1)
