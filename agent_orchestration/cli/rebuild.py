"""`rebuild`: the graph as the log says it must be."""

from typing import Annotated, Any

import typer

from agent_orchestration.cli.operations import operated
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, settings
from agent_orchestration.cli.text import plain, print_json


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(rebuild)


def rebuild(
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare only; exit code 1 when they differ.")
    ] = False,
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="URI", help="Fill the empty graph on that Neo4j server."),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Fold the log again beside the graph, compare the two, and repair what differs. Everybody can
    go on working meanwhile.

    Example: agent-orchestration rebuild --verify

    Example: agent-orchestration rebuild --into bolt://localhost:7688
    """
    from agent_orchestration.core.operations import Fill, Rebuild  # noqa: PLC0415 (start-up time)

    if into is not None and verify:
        raise typer.BadParameter("leave one of them out", param_hint="--verify, --into")
    operation = Rebuild(repair=not verify) if into is None else Fill(into)
    result = operated(settings(config, data), operation)
    if as_json:
        print_json(result)
    elif into is not None:
        print(f"{result['events']} events in {result['seconds']:.1f} s")
    else:
        _show(result)
    return 1 if verify and not result["equal"] else 0


def _show(result: dict[str, Any]) -> None:
    for one in result["differences"]:
        print(plain(_line(one)))
    found = sum(result[kind] for kind in ("missing", "extra", "changed", "relationship"))
    if (more := found - len(result["differences"])) > 0:
        print(f"and {more} more")
    print(f"{result['events']} events, {result['nodes']} nodes in {result['seconds']:.1f} s")
    for one in result["left_out"]:
        event = f"event {one['seq']} of tenant {one['tenant']} at {one['place']}"
        print(plain(f"{event} is left out: the history goes on from {one['kept']}"))
    if result["set_aside"]:
        print(f"{result['set_aside']} tenants are quarantined, and were left as they are")
    what = "repaired" if result["repaired"] else "FOUND"
    print(f"{found} differences {what}" if found else "the graph is what the log says")


def _line(one: dict[str, Any]) -> str:
    node = f"{one['label']} {one['id']}"
    if one["what"] == "relationship":
        return f"{node} -{one['type']}-> {one['target']} differs"
    names = f": {', '.join(one['properties'])}" if "properties" in one else ""
    return f"{node} is {one['what']}{names}"
