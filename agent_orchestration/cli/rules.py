"""`rules`: the version of the rules that decisions follow."""

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, ask, settings
from agent_orchestration.cli.text import print_json

rules = typer.Typer(help="The version of the rules: see it, raise it.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    program.add_typer(rules, name="rules")


@rules.command("show")
def show(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show which version of the rules is in force, and the newest that the program knows.

    Example: agent-orchestration rules show
    """
    overview = ask(settings(config, data), "get_overview", {})
    newest = overview["newest_rules"]
    # What has no history yet begins with the newest.
    present = overview.get("rules", newest)
    if as_json:
        print_json({"rules": present, "newest_rules": newest})
    elif present == newest:
        print(f"rules {present} are in force, the newest")
    else:
        print(
            f"rules {present} are in force; raise them to {newest}: agent-orchestration rules raise"
        )


@rules.command("raise")
def raise_(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Decide by the newest rules from now on, for good: older programs cannot use the data then.

    Example: agent-orchestration rules raise
    """
    answer = ask(settings(config, data), "raise_rules", {})
    if as_json:
        print_json(answer)
    else:
        done = "are now in force" if answer["raised"] else "were in force already"
        print(f"rules {answer['rules']} {done}")
