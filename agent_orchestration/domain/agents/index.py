"""Questions about agents that decisions ask."""

from collections.abc import Iterable, Iterator

from agent_orchestration.core.deadlines import Deadlines
from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.domain.agents.model import Agent, Skill


class AgentsByCapability(StateIndex[Agent]):
    """Which agents that are not retired have a capability, and at which level."""

    ENTITY = Agent

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._agents: dict[str, dict[str, int]] = {}

    def key(self, entity: Agent) -> tuple[Skill, ...] | None:
        """Filed under its skills; one without any is of no interest here."""
        return entity.skills if entity.retired_at is None and entity.skills else None

    def put(self, key: tuple[Skill, ...], entity: Agent) -> None:
        """File under each capability."""
        for skill in key:
            self._agents.setdefault(skill.capability, {})[entity.id] = skill.level

    def drop(self, key: tuple[Skill, ...], entity: Agent) -> None:
        """Take out of each capability."""
        for skill in key:
            agents = self._agents[skill.capability]
            del agents[entity.id]
            if not agents:
                del self._agents[skill.capability]

    def unstaffed(self, requires: Iterable[tuple[str, int]]) -> tuple[str, ...]:
        """The capabilities no agent has at that level; all of them where each has somebody but
        nobody has them together. Empty when somebody could do it."""
        needed = sorted(requires)
        lacking = tuple(name for name, level in needed if not any(self._at(name, level)))
        if lacking or len(needed) < 2:
            return lacking
        rarest = min(needed, key=lambda one: (len(self._agents[one[0]]), one))
        for agent in self._at(*rarest):
            if all(self._agents[name].get(agent, -1) >= level for name, level in needed):
                return ()
        return tuple(name for name, _ in needed)

    def having_any(self, names: Iterable[str]) -> list[str]:
        """The agents that have at least one of the capabilities, in order of id."""
        return sorted({agent for name in names for agent in self._agents.get(name, ())})

    def _at(self, name: str, level: int) -> Iterator[str]:
        for agent, has in self._agents.get(name, {}).items():
            self.state.examined += 1
            if has >= level:
                yield agent


class KnownAgents(StateIndex[Agent]):
    """All agents that are not retired."""

    ENTITY = Agent

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._ids: set[str] = set()

    def key(self, entity: Agent) -> bool | None:
        """Filed until it is retired."""
        return True if entity.retired_at is None else None

    def put(self, key: bool, entity: Agent) -> None:
        """One more."""
        self._ids.add(entity.id)

    def drop(self, key: bool, entity: Agent) -> None:
        """One less."""
        self._ids.discard(entity.id)

    def ids(self) -> list[str]:
        """In order."""
        return sorted(self._ids)


class Silence(StateIndex[Agent]):
    """When agents that promised to give signs of life would count as offline."""

    ENTITY = Agent

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self.deadlines: Deadlines[tuple[int, str]] = Deadlines()

    def key(self, entity: Agent) -> tuple[int, str] | None:
        """The last known sign of life plus the promised interval."""
        if entity.heartbeat_seconds is None or entity.status in ("offline", "retired"):
            return None
        return entity.seen_at + entity.heartbeat_seconds * 1000, entity.id

    def put(self, key: tuple[int, str], entity: Agent) -> None:
        """Note the time."""
        self.deadlines.put(entity.id, key)

    def drop(self, key: tuple[int, str], entity: Agent) -> None:
        """Forget the time."""
        self.deadlines.drop(entity.id)
