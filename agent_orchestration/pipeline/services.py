"""What all partitions of a process share."""

from collections.abc import Callable

import msgspec

from agent_orchestration.backends.graph import Graph
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.archive import Archive
from agent_orchestration.core.module import Registry
from agent_orchestration.pipeline.answers import ReadyHints
from agent_orchestration.pipeline.command_bus import CommandBus
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.replies import Replies

#: Pauses before trying again what failed, the last of them from then on.
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Services(msgspec.Struct, frozen=True):
    """Backends and the parts that are one per process.

    `clock`: milliseconds since the epoch. Without an `archive` no event is ever deleted.
    """

    log: Log
    graph: Graph
    registry: Registry
    progress: Progress
    bus: CommandBus
    hints: ReadyHints
    replies: Replies
    clock: Callable[[], int]
    archive: Archive | None = None
