"""Counting what a partition brings into the graph, for those who watch it.

Only who works on a partition counts: a graph that is made for somebody from the same events, as a
rebuild does, is no work on them.
"""

from collections.abc import Callable

from agent_orchestration import measures
from agent_orchestration.core.folding import Folded
from agent_orchestration.domain.budgets.events import SpendSettled
from agent_orchestration.domain.budgets.model import Spend
from agent_orchestration.pipeline.projector import Batch, Projector

GAUGES = (measures.FOLD_LAG_EVENTS, measures.FOLD_LAG_SECONDS, measures.CHECKPOINT)
MICROS = 1_000_000


class FoldMeasures:
    """How far a partition's graph is, and what came into it, for as long as this process has the
    partition: work on it may fail and begin anew meanwhile. `clock`: milliseconds since the
    epoch."""

    def __init__(self, partition: int, clock: Callable[[], int]) -> None:
        self._partition = str(partition)
        self._clock = clock
        #: The next event that the graph needs, when the log took it, and where the log ends: as
        #: far as is known.
        self._position = 0
        self._waiting_since: int | None = None
        self._end = 0

    def follow(self, projector: Projector) -> None:
        """Be told by who folds from now on."""
        projector.on_read = self._read
        projector.on_folded = self._folded

    def log_ends(self, end: int) -> None:
        """The partition's log has events up to there."""
        self._end = max(end, self._end)

    def stop(self) -> None:
        """Somebody else may have the partition now."""
        for gauge in GAUGES:
            gauge.drop(self._partition)

    def _read(self, position: int, batch: Batch | None) -> None:
        """From `position` on the log had these events, or none."""
        self._position = position
        if batch is None:
            self._waiting_since, self._end = None, position
        else:
            self._waiting_since = batch.records[0].timestamp
            self.log_ends(batch.records[-1].offset + 1)
        measures.CHECKPOINT.follow(lambda: self._position, self._partition)
        measures.FOLD_LAG_EVENTS.follow(lambda: max(self._end - self._position, 0), self._partition)
        measures.FOLD_LAG_SECONDS.follow(self._seconds, self._partition)

    def _seconds(self) -> float:
        since = self._waiting_since
        return 0.0 if since is None else max(self._clock() - since, 0) / 1000

    def _folded(self, batch: Batch, seconds: float) -> None:
        """The graph took the batch, in so many seconds."""
        self._position = batch.records[-1].offset + 1
        measures.FOLD_SECONDS.observe(seconds)
        measures.FOLD_BATCH.observe(len(batch.records))
        now = self._clock()
        for record in batch.records:
            measures.EVENT_LATENCY.observe(max(now - record.timestamp, 0) / 1000)
        for tenant, its in batch.folded.items():
            for folded in its:
                measures.EVENTS.add(folded.envelope.type)
                if isinstance(folded.event, SpendSettled):
                    _count_spend(tenant, folded, folded.event)


def _count_spend(tenant: str, folded: Folded, settled: SpendSettled) -> None:
    spend = folded.touched[Spend, settled.spend_id].entity
    assert isinstance(spend, Spend)
    labels = measures.NAMED_TENANTS.label(tenant), spend.model
    kinds = {
        "input": settled.prompt_tokens - settled.cached_tokens,
        "cached": settled.cached_tokens,
        "output": settled.completion_tokens,
    }
    for kind, tokens in kinds.items():
        measures.MODEL_TOKENS.add(*labels, kind, by=tokens)
    measures.MODEL_COST.add(*labels, by=settled.cost_micros / MICROS)
