"""`events tail`: what happened, and what is happening."""

import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
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

Show = Callable[[dict[str, Any]], Awaitable[None] | None]
#: What one call of the tool answers at most.
PAGE = 200
WAIT_SECONDS = 30.0
_LONGEST_DATA = 160

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Everything since then: 2026-01-31T12:00:00Z, 15m, 2h."
    ),
]

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
    since: SinceOption = None,
    lines: Annotated[
        int,
        typer.Option("--lines", "-n", metavar="N", min=0, help="Without these two: the last N."),
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
    begin = None if since is None else _instant(since)

    async def work(dispatcher: "SessionDispatcher") -> None:
        history = _History(dispatcher, filters, begin)
        show = print_json if as_json else _print
        if after is None and begin is None:
            await show_last(history, lines, show, follow=follow)
        else:
            await _show_after(history, after or 0, show, follow=follow)

    with_dispatcher(settings(config, data), work)


def history_of(dispatcher: "SessionDispatcher", **filters: str) -> "_History":
    """The events that pass the filters of `get_history`."""
    return _History(dispatcher, filters, None)


async def show_last(history: "_History", lines: int, show: Show, *, follow: bool) -> None:
    """The last events; with `follow` also those to come, for ever."""
    position, last = await history.last(lines)
    await _show(last, show)
    if follow:
        await _show_after(history, position, show, follow=True)


async def _show_after(history: "_History", position: int, show: Show, *, follow: bool) -> None:
    while True:
        found = await history.after(position, WAIT_SECONDS if follow else 0.0)
        await _show(found, show)
        if not found and not follow:
            return
        position = found[-1]["seq"] if found else position


async def _show(found: Iterable[dict[str, Any]], show: Show) -> None:
    for event in found:
        waits = show(event)
        if waits is not None:
            await waits


def _instant(text: str) -> str:
    """A time as RFC 3339, from that or from how long ago it was."""
    from agent_orchestration.core.types import instant  # noqa: PLC0415 (start-up time)

    try:
        if (ago := re.fullmatch(r"(\d+)([smhd])", text, re.ASCII)) is not None:
            unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
            moment = datetime.now(UTC) - timedelta(**{unit: int(ago[1])})
        else:
            moment = instant(text)
    except (OverflowError, ValueError):
        raise typer.BadParameter(
            f"{plain(text)!r} is no time: give an instant with its offset from UTC, such as"
            " 2026-01-31T12:00:00Z, or how long ago: 30s, 15m, 2h, 7d",
            param_hint="--since",
        ) from None
    return moment.isoformat()


class _History:
    """`since` counts until the first events are there: the others come after them."""

    def __init__(
        self, dispatcher: "SessionDispatcher", filters: dict[str, Any], since: str | None
    ) -> None:
        self._dispatcher = dispatcher
        self._filters = filters
        self._since = since

    async def after(self, seq: int, seconds: float = 0.0) -> list[dict[str, Any]]:
        """The next page; waits for something new if there is nothing yet."""
        where = {"after": seq, "since": self._since}
        arguments = {**self._filters, **where, "limit": PAGE, "wait_seconds": seconds}
        answer = await self._call("get_history", arguments)
        if answer["events"]:
            self._since = None
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


def _print(event: dict[str, Any]) -> None:
    content = plain(json.dumps(event["data"], ensure_ascii=False))
    if len(content) > _LONGEST_DATA:
        content = content[: _LONGEST_DATA - 1] + "…"
    head = f"{event['seq']:>7}  {cell(event['at'])}  {cell(event['type']):20}"
    print(f"{head}  {cell(event['actor']):12}  {content}", flush=True)
