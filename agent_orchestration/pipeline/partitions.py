"""Which partition a key belongs to, a tenant or an entity in a feed; where the graph is in one."""

from zlib import crc32

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.log import Log, Position, log_lost
from agent_orchestration.core.errors import Corrupt
from agent_orchestration.pipeline.topology import EVENTS


def partition_of(key: str, partitions: int) -> int:
    """crc32 of the key modulo the partition count, the same in every language."""
    return crc32(key.encode()) % partitions


async def graph_position(log: Log, graph: Graph, number: int) -> tuple[Position | None, int, int]:
    """The position of a partition that the graph holds, if any, the offset of the event that it
    needs next, and where the log ends. Raises `Corrupt` where the graph was made from another log,
    `LogLost` where the log has not what comes next, `Unavailable`."""
    held = await graph.position(number)
    first, end = await log.bounds(EVENTS, number)
    epoch, offset = held or (log.epoch, first)
    if epoch != log.epoch:
        raise Corrupt(
            "log_replaced",
            f"the graph was built from another log (epoch {epoch}, now {log.epoch});"
            " bring the log back, rebuild the graph from what the log has, or go on with the graph"
            " as it is: topics create --new-epoch",
        )
    if not first <= offset <= end:
        raise log_lost(EVENTS, number, offset, first, end)
    return held, offset, end


async def one_back(log: Log, number: int, held: Position) -> Position:
    """Where to leave a partition whose owner has to load it anew: it finds its position moved, and
    that event folded already, which does no harm."""
    first, _ = await log.bounds(EVENTS, number)
    return held[0], max(held[1] - 1, first)
