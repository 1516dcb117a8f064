"""One tenant's history as it is counted: every event once and in its order, however it comes."""

from agent_orchestration.analytics.measuring import Notes, facts_of
from agent_orchestration.analytics.windows import Fact, Windows
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.folding import fold
from agent_orchestration.core.module import Registry

Key = tuple[type[Entity], str]
REFUSED = "FormTeam"
"""The command whose rejections are teams that could not be formed."""


class TenantHistory:
    """A tenant's state, folded as the projector folds it, and its windows.

    An event may come before its predecessors, as it does where several feeds are read at once, and
    more than once: it is held until it is its turn, and what was counted already is dropped. So the
    windows are a function of the events alone. `state.seq` is how far they are; `refused` up to
    which command rejections are counted, as (epoch, offset). `touched` has the entities that are
    not what they were when it was last emptied.
    """

    def __init__(self, registry: Registry, tenant: str) -> None:
        self.tenant = tenant
        self.state = registry.new_state(tenant, decides=False)
        self.windows = Windows()
        self.notes = Notes()
        self.refused = (0, -1)
        self.touched: set[Key] = set()
        self.held: dict[int, EventEnvelope] = {}
        self._registry = registry

    def take(self, event: EventEnvelope) -> int:
        """An event of the tenant; how many were counted because of it. Raises `Corrupt` for one
        that does not follow the one before it, or that this program does not know."""
        if event.seq <= self.state.seq:
            return 0
        self.held.setdefault(event.seq, event)
        before = self.state.seq
        while (following := self.held.get(self.state.seq + 1)) is not None:
            self._count(following)
            del self.held[following.seq]
        return self.state.seq - before

    def refuse(self, command: str, position: tuple[int, int], at: int) -> None:
        """The rejection of a command of the tenant: they come in the order of the commands, some of
        them again. `position` is the command's (epoch, offset), `at` the time in milliseconds."""
        if position > self.refused:
            self.refused = position
            if command == REFUSED:
                self.windows.add(at, [Fact("teams_refused", 1, ())])

    def settle(self) -> None:
        """What changed is of no interest any more."""
        self.touched.clear()
        self.windows.changed.clear()

    def _count(self, event: EventEnvelope) -> None:
        folded = fold(self._registry, self.state, event)
        self.windows.add(event.at, facts_of(folded, self.state, self.notes))
        self.touched.update(folded.touched)
        for cls, entity_id in folded.touched:
            self.state.evict(cls, entity_id)
        self.state.receipts.clear()
