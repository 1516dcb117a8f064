"""`query`: ask the graph, in Cypher or by the name of a prepared question."""

import json
from typing import Annotated, Any

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, ask, settings
from agent_orchestration.cli.text import plain, print_json, print_rows

AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="SEQ|TIME",
        help="Ask the graph as it was after that event, or then (2026-01-31T12:00:00Z).",
    ),
]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(query)


def _complete(incomplete: str) -> list[str]:
    return [row["name"] for row in _named() if row["name"].startswith(incomplete)]


def query(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CYPHER] [PARAM=VALUE]…",
            help="A read-only statement, unless --name is given, and its parameters.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="A question.", autocompletion=_complete),
    ] = None,
    at: AtOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask the graph. Without arguments: list the prepared questions.

    Example: agent-orchestration query "MATCH (t:Task) RETURN t.status AS status, count(t) AS n"

    Example: agent-orchestration query --name history after=0 limit=10

    Example: agent-orchestration query --at 120 "MATCH (t:Task) RETURN count(t) AS tasks"
    """
    given = list(words or [])
    if name is None and not given:
        (print_json if as_json else print_rows)(_named())
        return
    if name is None:
        moment = int(at) if at is not None and at.isdecimal() else at
        tool, arguments = "read_cypher", {"query": given.pop(0), "at": moment}
    elif at is not None:
        raise typer.BadParameter("goes with Cypher, not with --name", param_hint="--at")
    else:
        tool, arguments = "run_named_query", {"name": name}
    answer = ask(settings(config, data), tool, {**arguments, "params": _parameters(given)})
    if as_json:
        print_json(answer)
        return
    if answer["rows"]:
        print_rows(answer["rows"], answer["columns"])
    count = len(answer["rows"])
    freshness = f"at event {answer['seq']}" + (", may lag behind" if answer.get("stale") else "")
    print(f"{count} {'row' if count == 1 else 'rows'}, {freshness}")


def _parameters(words: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(
                f"{plain(word)!r} is not PARAM=VALUE", param_hint="[PARAM=VALUE]…"
            )
        try:
            parameters[name] = json.loads(text)
        except (ValueError, RecursionError):
            parameters[name] = text
    return parameters


def _named() -> list[dict[str, Any]]:
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)

    return [
        {"name": one.name, "parameters": list(one.parameters), "answers": one.sentence}
        for one in REGISTRY.queries.values()
    ]
