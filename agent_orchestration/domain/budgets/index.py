"""Questions about spends that `evolve` asks."""

from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.domain.budgets.model import Spend


class OpenSpends(StateIndex[Spend]):
    """What is reserved for each task. All of it is of the attempt that goes on: the end of an
    attempt leaves nothing reserved."""

    ENTITY = Spend

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._open: dict[str, set[str]] = {}

    def key(self, entity: Spend) -> str | None:
        """The task of a reservation."""
        return entity.task_id if entity.status == "reserved" else None

    def put(self, key: str, entity: Spend) -> None:
        """A reservation more."""
        self._open.setdefault(key, set()).add(entity.id)

    def drop(self, key: str, entity: Spend) -> None:
        """A reservation less."""
        self._open[key].discard(entity.id)
        if not self._open[key]:
            del self._open[key]

    def of(self, task_id: str) -> tuple[str, ...]:
        """The ids of what is reserved for the task, in order."""
        found = self._open.get(task_id)
        return tuple(sorted(found)) if found else ()
