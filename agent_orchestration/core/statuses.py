"""How many entities there are by their status."""

from typing import ClassVar

from agent_orchestration.core.state import E, StateIndex, TenantState


class Statuses(StateIndex[E]):
    """How many live entities of a class have each of the `STATUSES`. For those who watch the
    platform: no decision asks."""

    STATUSES: ClassVar[tuple[str, ...]]

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self.counts = dict.fromkeys(self.STATUSES, 0)

    def put(self, key: str, entity: E) -> None:  # noqa: ARG002 (of use to subclasses)
        """One more has that status."""
        self.counts[key] += 1

    def drop(self, key: str, entity: E) -> None:  # noqa: ARG002 (the same)
        """One less."""
        self.counts[key] -= 1
