"""`redrive`: what was set aside, and how it goes on."""

from typing import Annotated, Any

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import moment, plain, print_json, print_rows

redrive = typer.Typer(
    help="Quarantined tenants and dead letters: see them, bring them back.", no_args_is_help=True
)
PlaceArgument = Annotated[str, typer.Argument(help="The letter's place, as `redrive list` says.")]


def add_to(program: typer.Typer) -> None:
    """Register the verbs."""
    program.add_typer(redrive, name="redrive")


@redrive.command("list")
def list_all(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Show what is set aside, and why.

    Example: agent-orchestration redrive list
    """
    from agent_orchestration.core.operations import ListSetAside  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), ListSetAside())
    if as_json:
        print_json(result)
        return
    if result["tenants"]:
        print_rows(result["tenants"])
    if result["letters"]:
        print_rows([{**one, "at": moment(one["at"])} for one in result["letters"]])
    print(
        f"{len(result['tenants'])} quarantined tenants, {len(result['letters'])} dead letters wait"
    )


@redrive.command("tenant")
def tenant(
    name: Annotated[str, typer.Argument(help="The quarantined tenant.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring the events of a quarantined tenant into the graph, and let it go on.

    Example: agent-orchestration redrive tenant acme
    """
    from agent_orchestration.core.operations import Redrive  # noqa: PLC0415 (start-up time)

    result = operated(settings(config, data), Redrive(name))
    if as_json:
        print_json(result)
    else:
        print(plain(f"{result['tenant']} goes on: {result['events']} events came into the graph"))


@redrive.command("letter")
def letter(
    place: PlaceArgument,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Submit the command in a dead letter again.

    Example: agent-orchestration redrive letter 0/17
    """
    _settle(place, None, as_json=as_json, config=settings(config, data))


@redrive.command("give-up")
def give_up(
    place: PlaceArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give up a dead letter. An event is never given up.

    Example: agent-orchestration redrive give-up 0/17 --reason "a test of the neighbours"
    """
    _settle(place, reason, as_json=as_json, config=settings(config, data))


def _settle(place: str, reason: str | None, *, as_json: bool, config: Any) -> None:
    from agent_orchestration.core.operations import SettleLetter  # noqa: PLC0415 (start-up time)

    result = operated(config, SettleLetter(place, reason))
    if as_json:
        print_json(result)
    else:
        what = "given up" if result["given_up"] else "submitted again"
        print(plain(f"{result['place']} from {result['origin']} is {what}"))
