"""`rebuild`: the graph anew from the log."""

from typing import TYPE_CHECKING, Any

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import console, print_json

if TYPE_CHECKING:
    from agent_orchestration.repeating import SessionDispatcher


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(rebuild)


def rebuild(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> int:
    """Drop the graph, fold the log again, and compare the two: exit code 1 when they differ.

    Example: agent-orchestration rebuild --data ~/.agent-orchestration
    """
    result = with_dispatcher(settings(config, data), _rebuild, decides=True)
    if as_json:
        print_json(result)
    else:
        print(f"{result['events']} events in {result['seconds']:.1f} s")
        print(f"before  {result['fingerprint_before']}")
        print(f"after   {result['fingerprint_after']}")
        print("the graphs are equal" if result["equal"] else "the graphs DIFFER")
    return 0 if result["equal"] else 1


async def _rebuild(dispatcher: "SessionDispatcher") -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress  # noqa: PLC0415

    progress = Progress(
        "rebuilding", BarColumn(), MofNCompleteColumn(), "events", console=console(stderr=True)
    )
    result: dict[str, Any] = {}
    with progress:
        bar = progress.add_task("rebuild", total=None)
        async for step in dispatcher.rebuild():
            if "equal" in step:
                result = step
            else:
                progress.update(bar, completed=step["done"], total=step["total"])
    return result
