"""What the timer learns of a tenant from commands that were decided before."""

import asyncio
from types import SimpleNamespace
from typing import Any

from agent_orchestration.core.envelope import CommandEnvelope
from agent_orchestration.core.messages import Command, CommandResult, Principal
from agent_orchestration.domain.tasks.commands import ReleaseTask
from agent_orchestration.pipeline.deciding import Asked, Outcome
from agent_orchestration.pipeline.timer import Timer
from tests.unit.domain import Domain
from tests.unit.examples import agent, claim, fail, task


class Around:
    """Log, processor and bus of one partition whose only tenant has that state."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.taken_over = asyncio.Event()
        self.taken_over.set()
        self.sent = asyncio.Queue[Command]()

    async def bounds(self, *_: object) -> tuple[int, int]:
        return 0, 0

    def topics(self) -> Any:
        return {"commands": SimpleNamespace(partitions=1)}

    async def query(self, *_: object, **__: object) -> list[Any]:
        """The graph, which had no deadline when it was asked."""
        return []

    async def passed(self, _offset: int) -> None:
        return

    async def state(self, _tenant: str) -> Any:
        return self.domain.state

    async def send(self, command: Command, *_: object) -> None:
        self.sent.put_nowait(command)


async def test_a_deadline_that_an_owner_before_us_made_is_learned_from_the_repeated_command() -> (
    None
):
    domain = Domain().given(agent(), task(), claim(), fail())
    around: Any = Around(domain)
    later = domain.now + 3_600_000
    services: Any = SimpleNamespace(log=around, graph=around, bus=around, clock=lambda: later)
    timer = Timer(services, around, 0)
    running = asyncio.create_task(timer.run())
    await asyncio.sleep(0)
    tenant = domain.state.tenant
    envelope = CommandEnvelope(
        id="c", tenant=tenant, type="FailTask", body=b"{}", principal=Principal("me", "admin")
    )
    result = CommandResult(command_id="c", tenant=tenant, status="accepted", seq=domain.state.seq)
    timer.settled(Outcome(Asked(envelope, fail(), (1, 0), later), result), domain.state)
    async with asyncio.timeout(5):
        assert await around.sent.get() == ReleaseTask(task_id="parse", attempt=1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
