"""`events tail`: what happened, and what is happening."""

import json
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import cell, plain, print_json

if TYPE_CHECKING:
    from agent_orchestration.repeating import SessionDispatcher

#: What one call of the tool answers at most.
PAGE = 200
WAIT_SECONDS = 30.0
_LONGEST_DATA = 160

events = typer.Typer(help="The history: every event in order.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    program.add_typer(events, name="events")


@events.command("tail")
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new ones.")] = False,
    after: Annotated[
        int | None, typer.Option("--after", metavar="SEQ", min=0, help="Everything after it.")
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="Without --after: the last N.")
    ] = 20,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this type of event.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="Only about this task.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="ID", help="Only about this agent.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show events: seq, time, type, author, content. With --json one JSON object per line.

    Example: agent-orchestration events tail --follow --type TaskCompleted
    """
    filters = {"type": kind, "task_id": task, "agent_id": agent}

    async def show(dispatcher: "SessionDispatcher") -> None:
        history = _History(dispatcher, filters)
        if after is None:
            position, last = await history.last(lines)
        else:
            position, last = after, []
        for event in last:
            _print(event, as_json)
        if after is None and not follow:
            return
        while True:
            found = await history.after(position, WAIT_SECONDS if follow else 0.0)
            for event in found:
                _print(event, as_json)
            if not found and not follow:
                return
            position = found[-1]["seq"] if found else position

    with_dispatcher(settings(config, data), show)


class _History:
    def __init__(self, dispatcher: "SessionDispatcher", filters: dict[str, Any]) -> None:
        self._dispatcher = dispatcher
        self._filters = filters

    async def after(self, seq: int, seconds: float = 0.0) -> list[dict[str, Any]]:
        """The next page; waits for something new if there is nothing yet."""
        arguments = {**self._filters, "after": seq, "limit": PAGE, "wait_seconds": seconds}
        answer = await self._call("get_history", arguments)
        return answer["events"]

    async def last(self, count: int) -> tuple[int, list[dict[str, Any]]]:
        """The last events that pass the filters, and the position behind them."""
        now = int((await self._call("get_overview", {}))["seq"])
        filtered = any(value is not None for value in self._filters.values())
        position = 0 if filtered else max(0, now - count)
        kept: deque[dict[str, Any]] = deque(maxlen=count)
        while page := await self.after(position):
            kept.extend(page)
            position = page[-1]["seq"]
        return max(position, now), list(kept)

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

        return await self._dispatcher.call(tool, arguments, Caller())


def _print(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(event)
        return
    content = plain(json.dumps(event["data"], ensure_ascii=False))
    if len(content) > _LONGEST_DATA:
        content = content[: _LONGEST_DATA - 1] + "…"
    head = f"{event['seq']:>7}  {cell(event['at'])}  {cell(event['type']):20}"
    print(f"{head}  {cell(event['actor']):12}  {content}", flush=True)
