"""The timer of one partition: what is due -> commands."""

import asyncio
import logging
from typing import TypeVar

from agent_orchestration.backends.graph import load_statements
from agent_orchestration.core.dispatch import TIMER, Caller
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.commands import Heartbeat
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.commands import ClaimTask
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.pipeline.command_processor import CommandProcessor
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.due import Due, command_for, due_until, next_due, next_of
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import COMMANDS

Position = tuple[int, int]
"""(epoch, offset) in commands."""
T = TypeVar("T")

logger = logging.getLogger(__name__)
TICK_SECONDS = 1.0
#: A tick that is so late, or a clock that goes so wrong, was a pause: of the process, the machine,
#: or the log.
PAUSE_MS = 300
SEND_AGAIN_MS = 5000


class Timer:
    """Submits what is due, with deterministic ids.

    Heartbeats are not facts: they renew leases in this timer's memory only. A timer that was blind
    for longer than a third of a lease (at the start, too) gives that lease its full time again.
    Time is the log's: what it stamped last on a command that came in, and the time since then.
    """

    def __init__(self, services: Services, processor: CommandProcessor, partition: int) -> None:
        self._log = services.log
        self._graph = services.graph
        self._bus = services.bus
        self._clock = services.clock
        self._processor = processor
        self._partition = partition
        self._tenants: dict[str, int] = {}
        #: By attempt, and by agent: the place of the last sign of life in the log, and until when
        #: it holds, or when it came. What was in doubt is read again, which makes it no newer.
        self._renewed: dict[tuple[str, str, int], tuple[Position, int]] = {}
        self._seen: dict[tuple[str, str], tuple[Position, int]] = {}
        self._sent: dict[tuple[str, Due], int] = {}
        self._pauses: list[tuple[int, int]] = []
        self._wake = asyncio.Event()
        #: Whether there may be deadlines that nobody told us of.
        self._unsure = True
        #: By how much the log's clock is ahead of ours, as far as we know.
        self._ahead = 0
        self._heard_from: int | None = None
        #: When we were last in touch with the log.
        self._contact = 0

    async def run(self) -> None:
        """Submit what is due for ever."""
        await self._processor.taken_over.wait()
        # What was said before we listened says nothing about what time it is.
        _, self._heard_from = await self._log.bounds(COMMANDS, self._partition)
        ticked = self._contact = self._now()
        self._paused(ticked)
        while True:
            planned = await self._sleep()
            now = self._now()
            if not -PAUSE_MS <= now - ticked <= planned + PAUSE_MS:
                self._paused(abs(now - ticked))
            try:
                if self._unsure:
                    await self._find_tenants()
                if self._tenants:
                    await self._tick(now)
                ticked = now
            except Unavailable as error:
                # Nobody could tell us anything for as long as we could not have heard it.
                ticked = min(ticked, self._contact)
                logger.warning(
                    "the timer of partition %d will try again: %s", self._partition, error
                )

    def taken_over(self) -> None:
        """See `Observer`."""
        self._unsure = True
        self._wake.set()

    def settled(self, outcome: Outcome, state: TenantState) -> None:
        """Signs of life, new deadlines, and what time it is."""
        self._hear(outcome)
        command, at = outcome.asked.command, outcome.asked.timestamp
        place = outcome.asked.position
        if isinstance(command, Heartbeat | ClaimTask):
            _newer(self._seen, (state.tenant, command.agent_id), (place, at))
        if isinstance(command, Heartbeat):
            for lease in command.leases:
                task = state.get(Task, lease.task_id)
                if task and task.held_by(command.agent_id) and task.attempt == lease.attempt:
                    key = (state.tenant, task.id, task.attempt)
                    _newer(self._renewed, key, (place, at + task.lease_seconds * 1000))
        if outcome.folded is not None:
            due = next_of(state, outcome.folded)
        elif state.tenant not in self._tenants:
            # An owner before us may have decided this command after we looked for deadlines.
            due = next_due(state)
        else:
            return
        if due is not None and due < self._tenants.get(state.tenant, due + 1):
            self._tenants[state.tenant] = due
            self._wake.set()

    def _now(self) -> int:
        """The log's time, in milliseconds since the epoch."""
        return self._clock() + self._ahead

    def _hear(self, outcome: Outcome) -> None:
        """The log put its time on a command."""
        if self._heard_from is None or outcome.asked.position[1] < self._heard_from:
            return
        self._heard_from = outcome.asked.position[1] + 1
        ahead = outcome.asked.timestamp - self._clock()
        jump, self._ahead = abs(ahead - self._ahead), ahead
        self._contact = self._now()
        if jump > PAUSE_MS:
            self._paused(jump)

    def _paused(self, blind: int) -> None:
        """Until now we may have missed signs of life, for so many milliseconds."""
        now = self._now()
        # What was shorter and before makes no difference any more.
        longer = [(min(at, now), before) for at, before in self._pauses if before > blind]
        self._pauses = [*longer, (now, blind)]

    async def _find_tenants(self) -> None:
        """The tenants of this partition that have deadlines, from the graph."""
        count = self._log.topics()[COMMANDS].partitions
        self._unsure = False
        try:
            rows = await self._graph.query(load_statements.DUE_TENANTS, {}, seconds=60.0)
        except Unavailable:
            self._unsure = True
            raise
        for row in rows:
            if partition_of(row["id"], count) == self._partition:
                self._tenants[row["id"]] = 0

    async def _sleep(self) -> int:
        """Until something may be due; with deadlines ahead, never longer than a tick. Answers for
        how many milliseconds at most."""
        seconds = TICK_SECONDS if self._unsure else None
        if self._tenants:
            ahead = (min(self._tenants.values()) - self._now()) / 1000
            seconds = min(max(ahead, 0.01), TICK_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        return 0 if seconds is None else int(seconds * 1000)

    async def _tick(self, now: int) -> None:
        if not any(due <= now for due in self._tenants.values()):
            return
        # Whatever was said before now has been heard before anything is declared over.
        _, end = await self._log.bounds(COMMANDS, self._partition)
        await self._processor.passed(end)
        self._contact = self._now()
        for tenant in [tenant for tenant, due in self._tenants.items() if due <= now]:
            state = await self._processor.state(tenant)
            # What we heard meanwhile may have told us that it is earlier than we thought.
            now = min(now, self._now())
            following = None if state.quarantined else next_due(state)
            if following is None:
                del self._tenants[tenant]
                continue
            waiting = [await self._handle(state, due, now) for due in due_until(state, now)]
            if waiting:
                # Behind those that were over by the facts there may be others, due before them.
                look = min(waiting)
                following = min((d[0] for d in due_until(state, look) if d[0] > now), default=look)
            self._tenants[tenant] = following
        self._prune(now)

    async def _handle(self, state: TenantState, due: Due, now: int) -> int:
        """Submit what is over; answers when to look at it again."""
        until = self._until(state, due)
        if until > now:
            return until
        sent = self._sent.get((state.tenant, due), 0)
        if sent + SEND_AGAIN_MS <= now:
            self._sent[state.tenant, due] = now
            time, kind, entity_id, attempt = due
            command_id = f"timer:{state.tenant}:{kind}:{entity_id}:{attempt}:{time}"
            await self._bus.send(
                command_for(due), Caller(principal=TIMER, tenant=state.tenant), command_id
            )
        return now + SEND_AGAIN_MS

    def _until(self, state: TenantState, due: Due) -> int:
        """When the deadline is really over, with what this timer knows beside the facts."""
        time, kind, entity_id, attempt = due
        if kind == "lease":
            task = state.get(Task, entity_id)
            full = task.lease_seconds * 1000 if task else 0
            _, renewed = self._renewed.get((state.tenant, entity_id, attempt), (None, 0))
            return max(time, renewed, self._forgiven(full))
        if kind == "silence":
            agent = state.get(Agent, entity_id)
            full = (agent.heartbeat_seconds or 0) * 1000 if agent else 0
            _, seen = self._seen.get((state.tenant, entity_id), (None, 0))
            return max(time, seen + full if seen else 0, self._forgiven(full))
        return time

    def _forgiven(self, full: int) -> int:
        """A full time after the last pause that was longer than a third of it."""
        return max((at + full for at, blind in self._pauses if blind > full / 3), default=0)

    def _prune(self, now: int) -> None:
        self._renewed = {key: one for key, one in self._renewed.items() if one[1] > now}
        self._sent = {key: at for key, at in self._sent.items() if at + SEND_AGAIN_MS > now}


def _newer(signs: dict[T, tuple[Position, int]], key: T, sign: tuple[Position, int]) -> None:
    known = signs.get(key)
    if known is None or known < sign:
        signs[key] = sign
