"""What the tenants of this process have to do, for those who watch it."""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Mapping
from typing import Never

from agent_orchestration import measures
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.index import AgentStatuses
from agent_orchestration.domain.tasks.index import ReadyTasks, TaskStatuses
from agent_orchestration.domain.teams.index import TeamStatuses
from agent_orchestration.measures import MOST_TENANTS, OTHER, Gauge
from agent_orchestration.pipeline.partition import Partition
from agent_orchestration.pipeline.redriving import set_aside
from agent_orchestration.pipeline.services import Services

EVERY_SECONDS = 10.0
#: So many tenants are looked at before others get their turn.
BREATH = 50
BY_STATUS = (
    (measures.TASKS_BY_STATUS, TaskStatuses),
    (measures.AGENTS_BY_STATUS, AgentStatuses),
    (measures.TEAMS_BY_STATUS, TeamStatuses),
)
GAUGES = (
    *(gauge for gauge, _ in BY_STATUS),
    measures.OLDEST_READY,
    measures.UNSTAFFED,
    measures.TENANT_STATES,
    measures.STATE_ENTITIES,
    measures.QUARANTINED,
)
Values = dict[tuple[str, ...], float]


class LiveWork:
    """Says every few seconds what is in memory of the tenants whose commands are decided here, and
    how many tenants of the partitions in `working` are set aside.

    The tenants with the longest histories are named, the others are together in "other".
    """

    def __init__(self, services: Services, working: Mapping[int, Partition]) -> None:
        self._services = services
        self._working = working

    async def run(self) -> Never:
        """Look for ever."""
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self._look_at_states()
                await self._look_at_quarantines()
        finally:
            for gauge in GAUGES:
                gauge.replace({})

    async def _look_at_states(self) -> None:
        processors = [one.processor for one in self._working.values() if one.processor is not None]
        states = [state for processor in processors for state in processor.states()]
        longest = heapq.nlargest(MOST_TENANTS, states, key=lambda one: (one.seq, one.tenant))
        named = {state.tenant for state in longest}
        found = defaultdict[Gauge, Values](dict)
        for number, state in enumerate(states, 1):
            self._add(found, state.tenant if state.tenant in named else OTHER, state)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        found[measures.TENANT_STATES][()] = len(states)
        for gauge in GAUGES:
            if gauge is not measures.QUARANTINED:
                gauge.replace(found[gauge])

    def _add(self, found: Mapping[Gauge, Values], tenant: str, state: TenantState) -> None:
        for gauge, index in BY_STATUS:
            values = found[gauge]
            for status, many in state.index(index).counts.items():
                _more(values, many, tenant, status)
        _more(found[measures.UNSTAFFED], state.index(ReadyTasks).unstaffed(), tenant)
        for kind, many in state.sizes().items():
            _more(found[measures.STATE_ENTITIES], many, kind)
        since = state.index(TaskStatuses).oldest_ready()
        age = 0.0 if since is None else max(self._services.clock() - since, 0) / 1000
        oldest = found[measures.OLDEST_READY]
        oldest[(tenant,)] = max(oldest.get((tenant,), 0.0), age)

    async def _look_at_quarantines(self) -> None:
        try:
            aside = await set_aside(self._services)
        except PlatformError:
            measures.QUARANTINED.replace({})  # the graph cannot say
            return
        here = sum(one.partition in self._working for one in aside)
        measures.QUARANTINED.replace({(): here})


def _more(values: Values, many: int, *labels: str) -> None:
    values[labels] = values.get(labels, 0.0) + many
