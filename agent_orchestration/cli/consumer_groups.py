"""`consumer-groups`: who reads the topics on Kafka, how far they are, and setting them back."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.session import ConfigOption, JsonOption, run, settings
from agent_orchestration.cli.text import print_answer, print_json, print_rows

if TYPE_CHECKING:
    from agent_orchestration.config import Config

groups = typer.Typer(help="The consumer groups on Kafka.", no_args_is_help=True)

GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    program.add_typer(groups, name="consumer-groups")


@groups.command("list")
def list_groups(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the consumer groups with their members and what they have still to read.

    Example: agent-orchestration consumer-groups list
    """
    rows = run(_list(_settings(config)))
    if as_json:
        print_json({"groups": rows})
    else:
        print_rows(rows, ["group", "state", "members", "lag"])


@groups.command("describe")
def describe(
    group: GroupArgument,
    here: Annotated[
        bool, typer.Option("--here", help="Exit code 1 unless a process on this host is a member.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> int:
    """Show the members of a group, and its position in each partition.

    A process whose work stands still is a member no longer: --here is a check of its health.

    Example: agent-orchestration consumer-groups describe agent_event_processor
    """
    from agent_orchestration.backends.log.kafka.groups import is_here  # noqa: PLC0415

    answer = run(_describe(_settings(config), group))
    (print_json if as_json else print_answer)(answer)
    return 0 if not here or any(is_here(member["client"]) for member in answer["members"]) else 1


@groups.command("reset")
def reset(
    group: GroupArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Set a group back to the earliest records, all of which it will read again. Refused while the
    group has members: stop them first. What was decided or applied already stays as it is.

    Example: agent-orchestration consumer-groups reset agent_event_processor
    """
    loaded = _settings(config)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise typer.BadParameter("reset asks before it acts; where nobody answers, give --yes")
        typer.confirm(f"Set group {group} back to the earliest records?", abort=True)
    rows = run(_reset(loaded, group))
    if as_json:
        print_json({"group": group, "positions": rows})
    else:
        print_rows(rows, ["topic", "partition", "position", "first"])
        print(f"group {group} begins with the first records again")


def _settings(config: Any) -> "Config":
    # The other settings of a backend are of no interest here, and may be missing.
    return settings(config, backend="embedded")


async def _list(config: "Config") -> list[dict[str, Any]]:
    from agent_orchestration.backends.log.kafka import groups as kafka_groups  # noqa: PLC0415
    from agent_orchestration.backends.log.kafka.connection import connected  # noqa: PLC0415

    prefix = config.kafka.prefix
    rows: list[dict[str, Any]] = []
    async with connected(config.kafka) as connection:
        for group in await kafka_groups.list_groups(connection, prefix):
            positions = await kafka_groups.positions_of(connection, group.name)
            rows.append(
                {
                    "group": group.name.removeprefix(prefix),
                    "state": group.state,
                    "members": len(group.members),
                    "lag": sum(position.lag for position in positions),
                }
            )
    return rows


async def _describe(config: "Config", name: str) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 (start-up time)

    from agent_orchestration.backends.log.kafka import groups as kafka_groups  # noqa: PLC0415
    from agent_orchestration.backends.log.kafka.connection import connected  # noqa: PLC0415

    async with connected(config.kafka) as connection:
        group = await kafka_groups.find_group(connection, config.kafka.prefix + name)
        positions = await kafka_groups.positions_of(connection, group.name)
    kafka_groups.refuse_unknown(group, positions)
    return {
        "group": name,
        "state": group.state,
        "lag": sum(position.lag for position in positions),
        "members": msgspec.to_builtins(group.members),
        "positions": msgspec.to_builtins(positions),
    }


async def _reset(config: "Config", name: str) -> list[dict[str, Any]]:
    import msgspec  # noqa: PLC0415 (start-up time)

    from agent_orchestration.backends.log.kafka import groups as kafka_groups  # noqa: PLC0415
    from agent_orchestration.backends.log.kafka.connection import connected  # noqa: PLC0415

    async with connected(config.kafka) as connection:
        before = await kafka_groups.reset(connection, config.kafka.prefix + name)
    return msgspec.to_builtins(before)
