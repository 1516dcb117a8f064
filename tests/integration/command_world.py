"""A worker that runs real commands, on a small platform in memory.

As a program (`python -m tests.integration.command_world ROOT SCRIPT`) it runs one shell script as
a task, for tests that kill it.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from agent_orchestration.config import child_environment
from agent_orchestration.workers.allowed import Allow
from agent_orchestration.workers.command_agent import CommandAgent
from agent_orchestration.workers.worker import Change, Worker
from tests.unit.platform_double import DoubleTask, PlatformDouble
from tests.unit.test_worker import until

FINISHED = {"completed", "failed", "blocked", "cancelled"}


class CommandWorld:
    """The platform, a command agent on `root`, and a worker with room for four tasks."""

    def __init__(
        self,
        root: Path,
        *,
        allow: Allow = lambda _task_id, _command: True,
        grace: float = 5.0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.root = root
        self.platform = PlatformDouble()
        self.platform.agents["agent"] = set()
        self.changes: list[tuple[str, Change]] = []
        inherited = child_environment() if environment is None else environment
        self.agent = CommandAgent(root, allow, environment=inherited, grace_seconds=grace)
        self.worker = Worker(
            self.platform,
            "agent",
            self.agent,
            concurrency=4,
            lease_seconds=0.1,
            watch=lambda task, change: self.changes.append((task.id, change)),
        )

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """The worker at work until the end of the block; then it is stopped."""
        running = asyncio.create_task(self.worker.run())
        try:
            yield
        finally:
            self.worker.stop()
            await running

    def add(self, task_id: str, payload: Any, depends_on: Sequence[str] = ()) -> DoubleTask:
        """Create a task that is ready."""
        task = DoubleTask(
            id=task_id,
            title=task_id,
            requires=set(),
            depends_on=[*depends_on],
            labels=[],
            payload=payload,
        )
        self.platform.tasks[task_id] = task
        return task

    async def did(self, command: str | list[str], **more: Any) -> DoubleTask:
        """Create a task with this command and wait until it is over."""
        task = self.add(f"t{len(self.platform.tasks)}", {"command": command, **more})
        await self.platform.nudge()
        await self.settled(task)
        return task

    async def settled(self, task: DoubleTask) -> None:
        """Wait until the worker is done with the task."""
        await until(lambda: task.status in FINISHED and not self.worker.held, f"{task.id} ends")

    def records(self) -> list[Path]:
        """The records of running commands."""
        return list((self.root / "children").iterdir())


def runs(pid: int) -> bool:
    """Whether there is such a process that is not a zombie."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return line[line.rindex(b")") + 2 :][:1] not in b"ZX"


def pid_in(file: Path) -> int:
    """The pid that a command wrote there; 0 as long as it has not."""
    try:
        return int(file.read_text() or 0)
    except FileNotFoundError:
        return 0


async def _main(root: Path, script: str) -> None:
    world = CommandWorld(root)
    async with world.working():
        await world.did(script, cwd=os.fspath(root))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
