"""One owned partition at work: its projector, command processor, timer and publisher, and how they
end."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from agent_orchestration import measures
from agent_orchestration.core.envelope import CommandEnvelope
from agent_orchestration.core.errors import Corrupt, PlatformError, Rejected, Unavailable
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.commands import ClaimTask
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.pipeline.answers import Hint, ReadyHints, Requires
from agent_orchestration.pipeline.archiving import Archiver
from agent_orchestration.pipeline.command_processor import CommandProcessor
from agent_orchestration.pipeline.counting import FoldMeasures
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.feeds import Publisher
from agent_orchestration.pipeline.lag import Lag, forget_lag
from agent_orchestration.pipeline.projector import Projector
from agent_orchestration.pipeline.replies import Replies
from agent_orchestration.pipeline.services import RETRY_SECONDS, Services
from agent_orchestration.pipeline.timer import Timer
from agent_orchestration.pipeline.waiting_tenants import load_waiting

logger = logging.getLogger(__name__)


class HintGiver:
    """Tells parked claims what an outcome made possible."""

    def __init__(self, hints: ReadyHints, replies: Replies) -> None:
        self._hints = hints
        self._replies = replies

    def taken_over(self) -> None:
        """See `Observer`."""
        self._hints.wake_all()
        self._replies.ask_again()

    def settled(self, outcome: Outcome, state: TenantState) -> None:
        """Claims without work, tasks that became ready, and agents that have room."""
        command, folded = outcome.asked.command, outcome.folded
        if isinstance(command, ClaimTask) and outcome.result.status == "nothing":
            levels = outcome.result.data.get("levels")
            self._hints.found_nothing(state.tenant, command.agent_id, levels)
            self._remember_waiting(outcome.asked.envelope, command.agent_id, levels)
        if folded is None:
            return
        unwanted: set[Requires] = set()
        for touched in folded.touched.values():
            entity = touched.entity
            if isinstance(entity, Task):
                if entity.status == "ready" and entity.needs not in unwanted:
                    hint = Hint(entity.id, entity.needs)
                    if not self._hints.task_ready(state.tenant, hint):
                        unwanted.add(hint.requires)
            elif isinstance(entity, Agent) and entity.active < entity.max_concurrency:
                self._hints.agent_changed(state.tenant, entity.id, entity.abilities)

    def _remember_waiting(
        self, envelope: CommandEnvelope, agent_id: str, levels: Mapping[str, int] | None
    ) -> None:
        """Whoever waits for work in another process is told there."""
        address = envelope.reply_to
        if address is not None and envelope.waits_ms and self._replies.elsewhere(address):
            tell = functools.partial(self._replies.work_for, address, envelope.tenant, agent_id)
            seconds = envelope.waits_ms / 1000
            self._hints.park_elsewhere(envelope.tenant, agent_id, levels, seconds, tell)


class Partition:
    """Runs until stopped. Passing failures are retried here, and only here; `failure` says why
    the partition had to stop, where going on would have been wrong; `gave_up` is told, too."""

    def __init__(
        self, services: Services, number: int, gave_up: Callable[[PlatformError], None]
    ) -> None:
        self.number = number
        self.failure: PlatformError | None = None
        self._services = services
        self._gave_up = gave_up
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._caught_up = asyncio.Event()
        self._measures = FoldMeasures(number, services.clock)
        self.projector: Projector | None = None
        self.processor: CommandProcessor | None = None

    def start(self) -> None:
        """Begin work in the background."""
        self._task = asyncio.create_task(self._keep_running(), name=f"partition-{self.number}")

    async def stop(self) -> None:
        """End work; what is in memory is dropped."""
        self._stopping = True
        self._caught_up.set()  # whoever waits has to look who is at work now
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._measures.stop()
        forget_lag(self.number)

    async def caught_up(self, seconds: float) -> bool:
        """Wait until the graph has what the log had when this process took the partition over.
        False where that takes longer, or never comes."""
        if not self._caught_up.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._caught_up.wait()
            except TimeoutError:
                return False
        return self.failure is None

    @property
    def is_caught_up(self) -> bool:
        """Whether `caught_up` would say so at once."""
        return self._caught_up.is_set() and self.failure is None and not self._stopping

    @property
    def working(self) -> bool:
        """Whether it owns the partition by now and decides commands."""
        return self.processor is not None and self.processor.taken_over.is_set()

    def describe(self) -> str:
        """How far it is, in words."""
        if self.processor is None or self.projector is None:
            return "starting"
        if not self.working:
            return f"catching up, at event {self.projector.position[1]}"
        return f"at command {self.processor.next}, event {self.projector.position[1]}"

    async def _keep_running(self) -> None:
        tries = 0
        # A task group that fails while it is cancelled tells of the failure only, so the end that
        # was asked for is remembered here.
        while self.failure is None and not self._stopping:
            started = self._services.clock()
            causes: list[BaseException] = []
            try:
                await self._run()
            except* Exception as errors:
                causes = _causes(cast("BaseExceptionGroup[Any]", errors))
            lasting = [error for error in causes if not _passes(error)]
            if lasting:
                self._give_up(lasting[0])
            elif not self._stopping:
                tries = 1 if self._services.clock() - started > 60_000 else tries + 1
                pause = RETRY_SECONDS[min(tries, len(RETRY_SECONDS)) - 1]
                logger.warning("partition %d waits %.1f s: %s", self.number, pause, causes[0])
                await asyncio.sleep(pause)

    def _give_up(self, error: BaseException) -> None:
        if not isinstance(error, PlatformError):
            error = Corrupt("internal", f"{type(error).__name__}: {error}")
        self.failure = error
        self._caught_up.set()
        if error.code == "divergence":
            measures.DIVERGENCES.add()
        logger.critical("partition %d stopped: %s", self.number, error.reason, exc_info=error)
        self._gave_up(error)

    async def _run(self) -> None:
        services = self._services
        projector = Projector(services, self.number)
        observers: list[HintGiver | Timer] = [HintGiver(services.hints, services.replies)]
        processor = CommandProcessor(services, projector, self.number, observers)
        self._measures.follow(projector)
        projector.on_quarantine = functools.partial(_quarantined, processor)
        timer = Timer(services, processor, self.number)
        observers.append(timer)
        self.projector, self.processor = projector, processor
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(projector.run())
                group.create_task(processor.run())
                group.create_task(timer.run())
                behind = Lag(services, processor, projector, self._measures, self.number)
                group.create_task(behind.run())
                group.create_task(load_waiting(services, processor, self.number))
                group.create_task(Publisher(services, projector, self.number).run())
                if services.archive is not None:
                    group.create_task(Archiver(services, services.archive, self.number).run())
                await processor.taken_over.wait()
                self._caught_up.set()
        finally:
            self.projector = self.processor = None


def _quarantined(processor: CommandProcessor, tenant: str) -> None:
    measures.QUARANTINES.add()
    processor.forget(tenant)


def _causes(errors: BaseExceptionGroup[Any]) -> list[BaseException]:
    """What is inside the groups."""
    found: list[BaseException] = []
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _causes(cast("BaseExceptionGroup[Any]", error))
        else:
            found.append(error)
    return found


def _passes(error: BaseException) -> bool:
    """Whether trying again may help: log or graph were away, or the graph took too long for one
    of our own questions."""
    slow = isinstance(error, Rejected) and error.code == "query_too_slow"
    return slow or isinstance(error, Unavailable)
