"""Agents at work in this process: made known to the platform, each with its worker."""

import asyncio
import contextlib
import math
import signal
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from agent_orchestration.core.dispatch import Caller, ToolCaller
from agent_orchestration.core.errors import Forbidden, NotFound, PlatformError, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import Role
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.worker import Watch, Worker, first_of

GRACE_SECONDS = 25.0
"""How long what is held may take to end after SIGTERM: less than Kubernetes waits (30 s)."""


class HostedAgent(Protocol):
    """An agent that a host lets work."""

    id: str
    concurrency: int
    lease_seconds: int | None
    heartbeat_seconds: int | None

    async def make_known(self, calls: PatientCalls) -> None:
        """Register it, or bring what is known of it up to date."""
        ...

    async def beside(self) -> None:
        """What it does beside its tasks, until cancelled."""
        ...

    async def carry_out(self, task: HeldTask) -> Any:
        """See `Handler`."""
        ...


async def register(calls: PatientCalls, agent_id: str, **said: Any) -> None:
    """Register an agent that is carried out by code, or bring what is known of it up to date; the
    arguments are those of `register_agent`. Where only others may do that, one of them must have:
    what they said of it holds. Raises `Forbidden` where nobody has."""
    try:
        await calls("register_agent", id=agent_id, kind="function", **said)
    except Forbidden as forbidden:
        try:
            await calls("get_agent", agent_id=agent_id)
        except NotFound:
            raise forbidden from None
    except Rejected as error:
        if error.code != "already_exists":
            raise
        await calls("update_agent", agent_id=agent_id, **said)


class Host:
    """Runs the workers of these agents. A platform that is away is waited for, however long.

    `caller` is who makes the agents known, and whose tenant they work in; one with the role of an
    agent may not, so its agents have to be registered by somebody else. `lease_seconds` holds for
    agents that say nothing of it. `watch`: see `Worker`.
    """

    def __init__(
        self,
        dispatcher: ToolCaller,
        agents: Iterable[HostedAgent],
        *,
        caller: Caller | None = None,
        lease_seconds: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.agents = list(agents)
        self._lease_seconds = lease_seconds
        self._caller = caller or Caller()
        self._calls = PatientCalls(dispatcher, self._caller, math.inf)
        self._known = False
        self.workers = [self._worker(dispatcher, one, watch) for one in self.agents]

    async def run(self) -> None:
        """Work until drained, stopped or cancelled. Raises `Rejected` where an agent was retired;
        the others give back what they hold then."""
        await self.make_known()
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(one.beside()) for one in self.agents]
                async with asyncio.TaskGroup() as working:
                    for worker in self.workers:
                        working.create_task(worker.run())
                for one in beside:
                    one.cancel()
        except* PlatformError as failed:
            raise first_of(failed) from None

    async def make_known(self) -> None:
        """Register the agents, or bring what is known of them up to date; `run` does it, too."""
        if not self._known and self._caller.principal.role != Role.AGENT:
            for one in self.agents:
                await one.make_known(self._calls)
        self._known = True

    def pause(self) -> None:
        """Claim nothing until `resume`; what is held goes on."""
        for worker in self.workers:
            worker.pause()

    def resume(self) -> None:
        """Claim again."""
        for worker in self.workers:
            worker.resume()

    def drain(self, within: float | None = None) -> None:
        """Claim nothing more; `run` returns when all that is held is finished, or given back after
        so many seconds."""
        for worker in self.workers:
            worker.drain(within)

    def stop(self) -> None:
        """Give back what is held; `run` returns."""
        for worker in self.workers:
            worker.stop()

    def drain_on_sigterm(self, within: float = GRACE_SECONDS) -> None:
        """From now on SIGTERM drains, for at most `within` seconds, and a second one stops. Does
        nothing where signals cannot be handled (Windows)."""

        def signalled() -> None:
            if any(worker.draining for worker in self.workers):
                self.stop()
            else:
                self.drain(within)

        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signalled)

    def _worker(self, dispatcher: ToolCaller, one: HostedAgent, watch: Watch | None) -> Worker:
        own = Principal(one.id, Role.AGENT.value, one.id)
        return Worker(
            dispatcher,
            one.id,
            one.carry_out,
            concurrency=one.concurrency,
            lease_seconds=one.lease_seconds or self._lease_seconds,
            caller=msgspec.structs.replace(self._caller, principal=own),
            heartbeat_seconds=one.heartbeat_seconds / 3 if one.heartbeat_seconds else None,
            patience=math.inf,
            watch=watch,
        )
