"""Operators' long work, with its progress on standard error."""

from typing import TYPE_CHECKING, Any

from agent_orchestration.cli.session import with_dispatcher
from agent_orchestration.cli.text import console

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.operations import Operation
    from agent_orchestration.repeating import SessionDispatcher


def operated(
    config: "Config", operation: "Operation", unit: str, *, decides: bool = False
) -> dict[str, Any]:
    """What the operation answers; `unit` is what its progress counts. For `decides` see
    `with_dispatcher`."""
    from rich.progress import (  # noqa: PLC0415 (start-up time)
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    async def work(dispatcher: "SessionDispatcher") -> dict[str, Any]:
        columns = (BarColumn(), MofNCompleteColumn(), unit, TimeRemainingColumn())
        with Progress("{task.description}", *columns, console=console(stderr=True)) as progress:
            bar = progress.add_task(type(operation).__name__.lower(), total=None)
            step: dict[str, Any] = {}
            async for step in dispatcher.operate(operation):
                if "done" in step:
                    progress.update(bar, completed=step["done"], total=step["total"])
        return step

    return with_dispatcher(config, work, decides=decides)
