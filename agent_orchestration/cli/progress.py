"""How far long work in this process is."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from agent_orchestration.cli.text import console

if TYPE_CHECKING:
    from agent_orchestration.pipeline.log_copy import Told


@contextlib.contextmanager
def shown(unit: str, *, hidden: bool) -> "Generator[Told]":
    """The progress on standard error: how many of the `unit`, how fast, how long still."""
    from rich import progress  # noqa: PLC0415 (start-up time)

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        console=console(stderr=True),
        disable=hidden,
    )
    tasks: dict[str, progress.TaskID] = {}

    def told(what: str, done: int, total: int) -> None:
        if not tasks:
            bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(what, rate="")
        speed = bar.tasks[tasks[what]].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        bar.update(tasks[what], completed=done, total=total, rate=rate)

    try:
        yield told
    finally:
        if tasks:  # of nothing it would show an empty line, above what went wrong
            bar.stop()
