"""`verify`: the histories in the log, checked."""

from typing import Annotated, Any

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import plain, print_json

TenantOption = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant's history.")
]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(verify)


def verify(
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Check that every event in the log follows the one before it, and that the graph has the last
    one: exit code 1 when a record was changed, lost or moved.

    Example: agent-orchestration verify --tenant default
    """
    from agent_orchestration.core.operations import Verify  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Verify(tenant))
    if as_json:
        print_json(result)
        return 0 if result["ok"] else 1
    for problem in result["problems"]:
        print(_line(problem))
    if (more := result["found"] - len(result["problems"])) > 0:
        print(f"and {more} more")
    print(
        f"{result['events']} events of {result['tenants']} tenants in {result['seconds']:.1f} s;"
        f" {result['repeated']} repeated, {result['foreign']} records of other programs,"
        f" {result['left_out']} left out"
    )
    print("every history is whole" if result["ok"] else f"{result['found']} PROBLEMS")
    return 0 if result["ok"] else 1


def _line(problem: dict[str, Any]) -> str:
    who = "" if problem["tenant"] is None else f"tenant {problem['tenant']}"
    event = "" if problem["seq"] is None else f"event {problem['seq']}"
    where = "" if problem["place"] is None else f"at {problem['place']}"
    return plain(f"{' '.join(filter(None, (who, event, where)))}: {problem['reason']}")
