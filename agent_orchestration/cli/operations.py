"""Operators' long work, with its progress on standard error."""

from typing import TYPE_CHECKING, Any

from agent_orchestration.cli.session import with_dispatcher
from agent_orchestration.cli.text import console

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.operations import Operation
    from agent_orchestration.repeating import SessionDispatcher


def operated(config: "Config", operation: "Operation") -> dict[str, Any]:
    """What the operation answers."""
    from rich.progress import (  # noqa: PLC0415 (start-up time)
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    async def work(dispatcher: "SessionDispatcher") -> dict[str, Any]:
        rate = TextColumn("{task.fields[rate]}")
        columns = (BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        with Progress("{task.description}", *columns, console=console(stderr=True)) as progress:
            bar: TaskID | None = None
            phase, step = "", dict[str, Any]()
            async for step in dispatcher.operate(operation):
                if "done" not in step:
                    continue
                if bar is None or step["phase"] != phase:
                    phase = step["phase"]
                    bar = progress.add_task(phase, total=None, rate="")
                speed = progress.tasks[-1].speed
                text = f"{speed:,.0f}/s" if speed else ""
                progress.update(bar, completed=step["done"], total=step["total"], rate=text)
        return step

    return with_dispatcher(config, work)
