"""The version of the rules that everybody who may decide knows."""

from agent_orchestration.backends.log import Log
from agent_orchestration.core.folding import RULES
from agent_orchestration.pipeline.topology import GROUP


async def common_rules(log: Log) -> int:
    """The newest version that every process knows that may decide. Raises `Unavailable`."""
    lowest = await log.lowest_rules(GROUP)
    return RULES if lowest is None else max(min(RULES, lowest), 1)
