"""`demo`: a small company takes inventory of a folder, and survives the death of a worker."""

import asyncio
import shlex
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import console, plain, print_json, print_rows

if TYPE_CHECKING:
    from rich.table import Table

    from agent_orchestration.repeating import SessionDispatcher
    from agent_orchestration.workers.demo import Snapshot

#: The folder that is taken stock of by default: this program's own files.
OWN_FILES = Path(__file__).parents[1]
LOG_NAME = "demo-workers.log"

FolderOption = Annotated[
    Path,
    typer.Option("--folder", metavar="DOCS", help="What to take inventory of; only read."),
]


def add_to(program: typer.Typer) -> None:
    """Register the verb, and the one that its worker processes run."""
    program.command("demo")(demo)
    program.command("demo-worker", hidden=True)(demo_worker)


def demo(
    folder: FolderOption = OWN_FILES,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """The first minute: a team of agents takes inventory of a folder of documents; one of them
    is killed in the middle, and another finishes its work. Without --data it leaves its data in a
    new temporary folder.

    Example: agent-orchestration demo --folder ~/Documents
    """
    from agent_orchestration.workers.demo import recovered  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.demo_inventory import require_documents  # noqa: PLC0415

    documents = require_documents(folder)
    chosen = data or Path(tempfile.mkdtemp(prefix="agent-orchestration-demo-"))
    loaded = settings(config, chosen)
    view = View(quiet=as_json)
    view.tell(f"A company takes inventory of {documents}. Data folder: {loaded.data}\n")
    answer = with_dispatcher(
        loaded, lambda dispatcher: _play(dispatcher, loaded.data, documents, view), serve=True
    )
    answer["data"] = str(loaded.data)
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    return 0 if recovered(answer) else 1


async def _play(
    dispatcher: "SessionDispatcher", data: Path, documents: Path, view: "View"
) -> dict[str, Any]:
    from agent_orchestration.workers.demo import Demo  # noqa: PLC0415 (start-up time)

    with (data / LOG_NAME).open("ab") as log:

        async def spawn(agent_id: str) -> Process:
            words = ["demo-worker", agent_id, "--folder", str(documents), "--data", str(data)]
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "agent_orchestration",
                *words,
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends them
            )

        try:
            return await Demo(dispatcher, spawn, view.tell, view.show).run()
        finally:
            view.close()


def demo_worker(
    agent_id: Annotated[str, typer.Argument(help="Whose tasks to carry out.")],
    folder: FolderOption = OWN_FILES,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Work for an agent of the demo until standard input ends.

    Example: agent-orchestration demo-worker ada --data DIR
    """
    loaded = settings(config, data)
    with_dispatcher(loaded, lambda dispatcher: _work(dispatcher, agent_id, folder))


async def _work(dispatcher: "SessionDispatcher", agent_id: str, folder: Path) -> None:
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)
    from agent_orchestration.core.messages import Principal  # noqa: PLC0415
    from agent_orchestration.core.tool import Role  # noqa: PLC0415
    from agent_orchestration.workers.demo_company import HEARTBEAT_SECONDS  # noqa: PLC0415
    from agent_orchestration.workers.demo_inventory import handler  # noqa: PLC0415
    from agent_orchestration.workers.worker import Worker  # noqa: PLC0415

    caller = Caller(principal=Principal(agent_id, Role.AGENT.value, agent_id))
    beat = HEARTBEAT_SECONDS / 3
    worker = Worker(dispatcher, agent_id, handler(folder), caller=caller, heartbeat_seconds=beat)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    working = asyncio.create_task(worker.run())
    ending = asyncio.create_task(reader.read())
    await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
    worker.stop()
    await working


class View:
    """Shows the demo: on a terminal a table that changes, else a line for every change."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = console()
        self._quiet = quiet
        self._live: Any = None
        self._said: dict[str, tuple[str, int, str]] = {}

    def tell(self, line: str) -> None:
        """A line for people."""
        if not self._quiet:
            self._console.print(plain(line), soft_wrap=True)

    def show(self, snapshot: "Snapshot") -> None:
        """The job as it is."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._show_changes(snapshot)
            return
        from rich.live import Live  # noqa: PLC0415 (start-up time)

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(_table(snapshot), refresh=True)

    def _show_changes(self, snapshot: "Snapshot") -> None:
        for task in snapshot.tasks:
            now = (task["status"], task["attempt"], task.get("agent_id", ""))
            before = self._said.get(task["id"])
            if before != now and task["status"] not in ("blocked", "ready"):
                who = f" by {now[2]}" if now[2] else ""
                again = f", attempt {now[1]}" if now[1] > 1 else ""
                self.tell(f"{snapshot.seconds:6.1f} s  {task['id']} {now[0]}{who}{again}")
            self._said[task["id"]] = now

    def close(self) -> None:
        """The last picture stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _table(snapshot: "Snapshot") -> "Table":
    from rich.table import Table  # noqa: PLC0415 (start-up time)

    agents = ", ".join(f"{one['id']} {one['status']}" for one in snapshot.agents)
    table = Table(title=f"{snapshot.seconds:.1f} s", caption=agents, title_justify="left", box=None)
    for name in ("task", "status", "agent", "attempt", "why"):
        table.add_column(name, no_wrap=name != "why")
    colours = {"running": "yellow", "completed": "green", "failed": "red", "ready": "cyan"}
    for task in snapshot.tasks:
        attempt = str(task["attempt"]) if task["attempt"] else ""
        table.add_row(
            plain(task["title"]),
            task["status"],
            task.get("agent_id", ""),
            attempt,
            plain(task.get("reason") or ""),
            style=colours.get(task["status"], "dim"),
        )
    return table


def _print_answer(answer: Mapping[str, Any]) -> None:
    out = console()
    _print_report(answer["report"])
    explained = answer["explanation"]
    if explained is not None:
        out.print(f"\nWhat happened to {explained['task']['id']} (explain_task):", style="bold")
        out.print(plain(f"  {explained['summary']}"), soft_wrap=True)
        for event in explained["events"]:
            attempt = event["data"].get("attempt")
            of = f", attempt {attempt}" if attempt else ""
            line = f"{event['seq']:>5}  {str(event['at'])[11:23]}  {event['type']}"
            out.print(plain(f"  {line} by {event['actor']}{of}"), soft_wrap=True)
    for asked in answer["questions"]:
        out.print(f"\n{asked['question']}", style="bold")
        out.print(plain(asked["query"]), style="dim", soft_wrap=True)
        out.print(plain(f"with {asked['params']}"), style="dim", soft_wrap=True)
        print_rows(asked["rows"])
    out.print(f"\nThe job is {answer['status']} after {answer['seconds']:.1f} s.", style="bold")
    out.print("All of it is kept. Try next:")
    for words in _next_commands(answer):
        out.print(f"  {shlex.join(words)}", soft_wrap=True)


def _print_report(report: Mapping[str, Any] | None) -> None:
    if report is None:
        return
    totals, duplicates = report["totals"], report["duplicates"]
    words = ", ".join(f"{word} ({count})" for word, count in report["words"]["most_used"][:6])
    out = console()
    out.print("\nThe report:", style="bold")
    out.print(
        plain(
            f"  {totals['read']} documents, {totals['bytes']:,} bytes, {totals['lines']:,} lines,"
            f" {totals['words']:,} words; {totals['binary']} of them no text\n"
            f"  {duplicates['documents']} duplicates in {len(duplicates['groups'])} groups\n"
            f"  most used words: {words}"
        ),
        soft_wrap=True,
    )
    for group in duplicates["groups"][:3]:
        out.print(plain(f"    the same: {', '.join(group[:4])}"), soft_wrap=True)


def _next_commands(answer: Mapping[str, Any]) -> list[list[str]]:
    program, data = "agent-orchestration", ["--data", answer["data"]]
    job = answer["plan_id"]
    query = "MATCH (a:Agent)-[:MEMBER_OF]->(t:Team) RETURN t.goal AS goal, a.name AS member"
    commands = [
        [program, "call", "get_task", f"task_id={job}.report", *data],
        [program, "query", query, *data],
        [program, "agents", "list", *data],
        [program, "dev", *data],
    ]
    if answer["killed"] is not None:
        task_id = answer["killed"]["task_id"]
        commands.insert(0, [program, "call", "explain_task", f"task_id={task_id}", *data])
    return commands
