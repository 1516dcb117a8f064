"""`agents logs`: what an agent does, as it does it."""

import json
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agent_orchestration.cli.entities import agents
from agent_orchestration.cli.events import history_of, show_last
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

LONGEST = 400


def add_to(_program: typer.Typer) -> None:
    """Register the verb with its noun."""
    agents.command("logs")(logs)


def logs(
    agent_id: Annotated[str, typer.Argument(metavar="ID")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N.")
    ] = 20,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what an agent did and said, the oldest first: claims, what is known of its tasks'
    progress now, results, failures, and messages. With --json one event per line.

    Example: agent-orchestration agents logs researcher --follow
    """

    async def work(dispatcher: "SessionDispatcher") -> None:
        history = history_of(dispatcher, actor=agent_id)
        if as_json:
            await show_last(history, lines, print_json, follow=follow)
        else:
            await show_last(history, lines, _Lines(dispatcher).show, follow=follow)

    with_dispatcher(settings(config, data), work)


class _Lines:
    """Lines for people. The history says that there was progress, the task says which."""

    def __init__(self, dispatcher: "SessionDispatcher") -> None:
        self._dispatcher = dispatcher
        #: By task, what was printed of it: messages of a conversation, or the progress as text.
        self._messages: dict[str, int] = {}
        self._progress: dict[str, str] = {}

    async def show(self, event: dict[str, Any]) -> None:
        """Print what the event says."""
        kind, data = event["type"], event["data"]
        if kind.startswith("Spend"):
            return
        said = [""]
        if kind in ("TaskProgressed", "TaskCompleted"):
            said = await self._of_task(data["task_id"], result=kind == "TaskCompleted")
        elif kind == "TaskFailed":
            said = [f"{data['error_type']}: {data['error']}"]
        elif kind == "MessageSent":
            said = [data["message"]["text"]]
        about = cell(data.get("task_id") or data.get("conversation_id") or "")
        attempt = f" attempt {data['attempt']}" if "attempt" in data else ""
        for one in said:
            text = plain(" ".join(one.split()))
            text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
            head = f"{cell(event['at'])}  {cell(kind):15}  {about}{attempt}"
            print(f"{head}  {text}".rstrip(), flush=True)

    async def _of_task(self, task_id: str, *, result: bool) -> list[str]:
        from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

        found = await self._dispatcher.call("get_task", {"task_id": task_id}, Caller())
        said = self._new(task_id, found["task"].get("progress"))
        if result:
            said.append(f"result: {_text(found['task'].get('result'))}")
        return said

    def _new(self, task_id: str, progress: Any) -> list[str]:
        """What was not printed yet."""
        if isinstance(progress, dict) and "messages" in progress:
            messages = cast("dict[str, Any]", progress)["messages"]
            shown, self._messages[task_id] = self._messages.get(task_id, 0), len(messages)
            return [_message(one) for one in messages[shown:]]
        text = "" if progress is None else _text(progress)
        if self._progress.get(task_id, "") == text:
            return []
        self._progress[task_id] = text
        return [text]


def _message(message: dict[str, Any]) -> str:
    calls = ", ".join(
        f"{one['function']['name']}({one['function']['arguments']})"
        for one in message.get("tool_calls", ())
    )
    return f"{message['role']}: {message['content'] or ''} {calls}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
