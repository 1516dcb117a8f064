"""Counting what a partition brings into the graph, for those who watch it.

Only who works on a partition counts: a graph that is made for somebody from the same events, as a
rebuild does, is no work on them.
"""

import itertools
from collections.abc import Callable

from agent_orchestration import measures
from agent_orchestration.pipeline.projector import Batch


class FoldCounter:
    """Counts the batches of one partition. `clock`: milliseconds since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock

    def folded(self, batch: Batch, seconds: float) -> None:
        """The graph took the batch, in so many seconds."""
        measures.FOLD_SECONDS.observe(seconds)
        measures.FOLD_BATCH.observe(len(batch.records))
        now = self._clock()
        for record in batch.records:
            measures.EVENT_LATENCY.observe(max(now - record.timestamp, 0) / 1000)
        for folded in itertools.chain.from_iterable(batch.folded.values()):
            measures.EVENTS.add(folded.envelope.type)
