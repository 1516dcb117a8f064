"""Questions about agents that decisions ask."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from agent_orchestration.core.deadlines import Deadlines
from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.core.statuses import Statuses
from agent_orchestration.domain.agents.model import Agent, Skill


class Levels:
    """At which levels some agents have a capability. Agents are bits of a number."""

    __slots__ = ("able", "levels")

    def __init__(self) -> None:
        self.levels: list[int] = []
        """The levels that occur, in order."""
        self.able: list[int] = []
        """For each of them, who has at least that level."""

    def put(self, level: int, bit: int) -> None:
        """An agent more."""
        place = bisect_left(self.levels, level)
        if place == len(self.levels) or self.levels[place] != level:
            self.able.insert(place, self.at(level))
            self.levels.insert(place, level)
        for lower in range(place + 1):
            self.able[lower] |= bit

    def drop(self, level: int, bit: int) -> None:
        """An agent less; a level that nobody has goes."""
        place = bisect_left(self.levels, level)
        for lower in range(place + 1):
            self.able[lower] ^= bit
        above = self.able[place + 1] if place + 1 < len(self.able) else 0
        if self.able[place] == above:
            del self.able[place], self.levels[place]

    def at(self, level: int) -> int:
        """Who has at least that level."""
        place = bisect_left(self.levels, level)
        return self.able[place] if place < len(self.able) else 0


class AgentsByCapability(StateIndex[Agent]):
    """Which agents that are not retired have a capability, and at which level."""

    ENTITY = Agent

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._agents: dict[str, set[str]] = {}
        self._levels: defaultdict[str, Levels] = defaultdict(Levels)
        self._bits: dict[str, int] = {}
        self._free: list[int] = []

    def key(self, entity: Agent) -> tuple[Skill, ...] | None:
        """Filed under its skills; one without any is of no interest here."""
        return entity.skills if entity.retired_at is None and entity.skills else None

    def put(self, key: tuple[Skill, ...], entity: Agent) -> None:
        """File under each capability."""
        bit = self._free.pop() if self._free else 1 << len(self._bits)
        self._bits[entity.id] = bit
        for skill in key:
            self._agents.setdefault(skill.capability, set()).add(entity.id)
            self._levels[skill.capability].put(skill.level, bit)

    def drop(self, key: tuple[Skill, ...], entity: Agent) -> None:
        """Take out of each capability."""
        bit = self._bits.pop(entity.id)
        self._free.append(bit)
        for skill in key:
            self._levels[skill.capability].drop(skill.level, bit)
            agents = self._agents[skill.capability]
            agents.remove(entity.id)
            if not agents:
                del self._agents[skill.capability], self._levels[skill.capability]

    def unstaffed(self, requires: Iterable[tuple[str, int]]) -> tuple[str, ...]:
        """The capabilities no agent has at that level; all of them where each has somebody but
        nobody has them together. Empty when somebody could do it."""
        lacking: list[str] = []
        needed: list[str] = []
        together = -1
        for name, level in requires:
            self.state.examined += 1
            known = self._levels.get(name)
            able = known.at(level) if known is not None else 0
            together &= able
            needed.append(name)
            if not able:
                lacking.append(name)
        return () if together else tuple(sorted(lacking or needed))

    def having_any(self, names: Iterable[str]) -> list[str]:
        """The agents that have at least one of the capabilities, in order of id."""
        return sorted({agent for name in names for agent in self._agents.get(name, ())})


class AgentStatuses(Statuses[Agent]):
    """The agents that are not retired."""

    ENTITY = Agent
    STATUSES = ("idle", "busy", "draining", "offline")

    def key(self, entity: Agent) -> str | None:
        """Its status, until it is retired."""
        return entity.status if entity.retired_at is None else None


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
