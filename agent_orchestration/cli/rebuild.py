"""`rebuild`: the graph anew from the log."""

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import print_json


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(rebuild)


def rebuild(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> int:
    """Drop the graph, fold the log again, and compare the two: exit code 1 when they differ.

    Example: agent-orchestration rebuild --data ~/.agent-orchestration
    """
    from agent_orchestration.core.operations import Rebuild  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Rebuild(), "events", decides=True)
    if as_json:
        print_json(result)
    else:
        print(f"{result['events']} events in {result['seconds']:.1f} s")
        print(f"before  {result['fingerprint_before']}")
        print(f"after   {result['fingerprint_after']}")
        print("the graphs are equal" if result["equal"] else "the graphs DIFFER")
    return 0 if result["equal"] else 1
