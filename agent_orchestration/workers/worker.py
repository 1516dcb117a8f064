"""An agent at work: claims tasks, keeps their leases, hands them to a handler, reports."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import NotFound, PlatformError, Rejected
from agent_orchestration.logs import LogFields
from agent_orchestration.workers.calls import PATIENCE_SECONDS, PatientCalls
from agent_orchestration.workers.claiming import Claim, Claims, now
from agent_orchestration.workers.held import HeldTask, Outcome, TaskError, raised, task_error
from agent_orchestration.workers.spans import work_span

GIVE_BACK_SECONDS = 5.0

logger = logging.getLogger(__name__)

Handler = Callable[[HeldTask], Awaitable[Any]]
#: What happens to a task in this worker's hands; `stopped`: it was given back.
Change = Literal["claimed", "stopped"] | Outcome
Watch = Callable[[HeldTask, Change], None]


class Worker:
    """Works for the agent `agent_id` until drained, stopped, refused or cancelled.

    `handler(task)` carries a task out; what it returns (JSON) is the result. It may raise
    `TaskError`; any other exception fails the attempt, too. When the attempt is over early
    (cancelled, fenced, given back) the handler is cancelled and has to end promptly.
    `concurrency` is how many tasks are held at once. `lease_seconds` None takes each task's own.
    `heartbeat_seconds` is for agents that promised one: it is sent even with nothing held.
    `patience` is how many seconds a call is repeated while the platform cannot be reached.
    `watch` is told of every change. `session` tells this worker's claims from those of others for
    the same agent; by default it is chosen at random.
    """

    def __init__(
        self,
        dispatcher: ToolCaller,
        agent_id: str,
        handler: Handler,
        *,
        concurrency: int = 1,
        lease_seconds: float | None = None,
        caller: Caller | None = None,
        heartbeat_seconds: float | None = None,
        patience: float = PATIENCE_SECONDS,
        watch: Watch | None = None,
        session: str | None = None,
    ) -> None:
        self.agent_id = agent_id
        self.calls = PatientCalls(dispatcher, caller or Caller(), patience)
        self.held: dict[tuple[str, int], HeldTask] = {}
        self._handler = handler
        self._lease = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._watch: Watch = watch or (lambda _task, _change: None)
        self._claims = Claims(
            self.calls,
            agent_id,
            self._carry_out,
            concurrency=concurrency,
            lease_seconds=lease_seconds,
            session=session,
        )
        self._claimed = asyncio.Event()
        self._beaten = 0.0
        self._bound: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Work. Returns once drained or stopped.

        Raises `Rejected` or `NotFound` where the agent may not claim (any more), after finishing
        what is held, and what patience did not cure. Cancelled or failing, it gives back what it
        holds first, as far as that is possible within five seconds.
        """
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat())
                async with asyncio.TaskGroup() as carrying:
                    await self._claims.run(carrying)
                beating.cancel()
        except ExceptionGroup as failed:
            raise first_of(failed) from None
        finally:
            if self._bound is not None:
                self._bound.cancel()
        if self._claims.refusal is not None:
            raise self._claims.refusal

    @property
    def draining(self) -> bool:
        """Whether it claims nothing more."""
        return self._claims.ended

    def pause(self) -> None:
        """Claim nothing until `resume`; what is held goes on."""
        self._claims.pause()

    def resume(self) -> None:
        """Claim again."""
        self._claims.resume()

    def drain(self, within: float | None = None) -> None:
        """Claim nothing more and finish what is held; after `within` seconds give back the rest.

        A task that a claim under way has brought by now is finished, too.
        """
        self._claims.end()
        if within is not None and self._bound is None:
            self._bound = asyncio.get_running_loop().call_later(within, self.stop)

    def stop(self) -> None:
        """Cancel the handlers and give back what is held, to be claimed by others at once."""
        self._claims.end(at_once=True)
        for task in self.held.values():
            task.end("stopped")

    def _take(self, claim: Claim) -> HeldTask:
        task = HeldTask(self.calls, self.agent_id, claim, self._lease)
        self.held[task.id, task.attempt] = task
        if self._claims.stopped:
            task.end("stopped")
        self._claimed.set()
        self._watch(task, "claimed")
        return task

    async def _carry_out(self, claim: Claim) -> None:
        task = self._take(claim)
        with LogFields(correlation=task.correlation, agent_id=self.agent_id, task_id=task.id):
            try:
                with work_span(task) as ended:
                    change = await self._done(task)
                    self._tell(task, change)
                    ended(change)
            except asyncio.CancelledError:
                task.end("stopped")
                self._tell(task, await _give_back(task))
                raise
            finally:
                del self.held[task.id, task.attempt]

    def _tell(self, task: HeldTask, change: Change) -> None:
        """What came of it."""
        extra = {"attempt": task.attempt, "outcome": change}
        logger.debug("task %s: %s", task.id, change, extra=extra)
        self._watch(task, change)

    async def _done(self, task: HeldTask) -> Change:
        """Run the handler to its end and report it; answers what came of it."""
        if task.cancelled.is_set():
            return await _give_back(task)
        work, unsaid = await task.carried_out(self._work(task))
        if unsaid is None and not work.cancelled():
            failure = raised(work)
            if failure is None:
                return await task.complete(work.result())
            return await task.fail(task_error(failure))
        if isinstance(unsaid, PlatformError) and unsaid.retryable:
            raise unsaid
        if task.verdict == "continue":
            return await task.fail(task_error(unsaid or asyncio.CancelledError()))
        return await _give_back(task)

    async def _work(self, task: HeldTask) -> Any:
        await task.load()
        return await self._handler(task)

    async def _beat(self) -> None:
        """Send a heartbeat for all that is held, three times a lease."""
        self._beaten = now()
        while True:
            self._claimed.clear()
            gaps = [task.lease_seconds / 3 for task in self.held.values()]
            gaps += [self._heartbeat_seconds] if self._heartbeat_seconds else []
            left = self._beaten + min(gaps) - now() if gaps else None
            try:
                async with asyncio.timeout(left):
                    await self._claimed.wait()
            except TimeoutError:
                await self._heartbeat()

    async def _heartbeat(self) -> None:
        self._beaten = now()
        leases = [{"task_id": task.id, "attempt": task.attempt} for task in self.held.values()]
        try:
            answer = await self.calls("heartbeat", agent_id=self.agent_id, leases=leases)
        except (Rejected, NotFound) as error:  # retired: what it held went to others
            self._claims.refuse(error)
            self.drain()
            for task in self.held.values():
                task.end("fenced")
            return
        for lease in answer["leases"]:
            task = self.held.get((lease["task_id"], lease["attempt"]))
            if task and lease["verdict"] != "continue":
                task.end(lease["verdict"])


async def _give_back(task: HeldTask) -> Change:
    """Others may have the task at once. Answers the verdict where it was taken away already."""
    error = TaskError("the worker was stopped", error_type="worker_stopped", retry_after_seconds=0)
    try:
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            outcome = await task.fail(error)
    except (TimeoutError, PlatformError) as unsaid:
        logger.warning("task %s goes back when its lease runs out: %r", task.id, unsaid)
        return "stopped"
    return "stopped" if outcome == "failed" else outcome


def first_of(failed: ExceptionGroup[Exception]) -> Exception:
    """The first of the errors in a group of groups."""
    error = failed.exceptions[0]
    nested = isinstance(error, ExceptionGroup)
    return first_of(cast("ExceptionGroup[Exception]", error)) if nested else error
