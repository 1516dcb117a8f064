"""`python -m bench.profile`: where the time goes on the way of a command.

Three paths, each under cProfile, with the functions that take the most time by themselves. The
profiler makes calls between Python functions look dearer than they are: shares are for finding
what to look at, and `python -m bench` tells what a change was worth.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from starlette.types import ASGIApp, Message, Scope

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import console
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import LOCAL_OPERATOR
from agent_orchestration.core.envelope import CommandEnvelope, command_body
from agent_orchestration.core.messages import Command, CommandResult
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.tasks.commands import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    StartTask,
)
from agent_orchestration.pipeline.deciding import Asked, Decider
from agent_orchestration.server.http import MCP_PATH, create_app
from bench.lifecycles import CLIENTS, lifecycles, register
from bench.processes import ROOT, folder
from bench.tool_calls import HEADERS

Functions = dict[tuple[str, int, str], tuple[int, int, float, float, object]]
"""By (file, line, name): primitive calls, calls, own seconds, seconds with callees, callers."""
_TENANT = "acme"
_CALLERS = 8


class Profiled(NamedTuple):
    """A path: what it is, the work, which is told how often and switches the profiler on, and how
    often that is."""

    what: str
    work: Callable[[int, cProfile.Profile], None]
    times: int


def decide_and_evolve(count: int, profiler: cProfile.Profile) -> None:
    """Lifecycles decided and folded in memory, as the command processor does."""
    state, decider = REGISTRY.new_state(_TENANT), Decider(REGISTRY)
    offset = 0

    def decide(command: Command) -> CommandResult:
        nonlocal offset
        offset += 1
        name = type(command).__name__
        envelope = CommandEnvelope(
            id=f"{offset:032}",
            tenant=_TENANT,
            type=name,
            body=command_body(command),
            principal=LOCAL_OPERATOR,
        )
        result = decider.decide(state, Asked(envelope, command, (1, offset), offset)).result
        assert result.status == "accepted", result
        return result

    decide(RegisterAgent(agent_id="ada", name="Ada", kind="function"))
    profiler.enable()
    for number in range(count):
        decide(CreateTask(title=f"Task number {number}"))
        claimed = decide(ClaimTask(agent_id="ada", start=False)).data
        held = {name: claimed[name] for name in ("task_id", "agent_id", "attempt")}
        decide(StartTask(**held))
        decide(CompleteTask(**held))
    profiler.disable()


def pipeline(count: int, profiler: cProfile.Profile) -> None:
    """Lifecycles from the command bus through log, decision, log and fold into the graph."""

    async def work(platform: Platform) -> None:
        agents = await register(platform, CLIENTS)
        await lifecycles(platform, agents, CLIENTS)
        profiler.enable()
        await lifecycles(platform, agents, count)
        profiler.disable()

    _with_platform(work)


def tool_over_http(count: int, profiler: cProfile.Profile) -> None:
    """`create_task` through the HTTP application, from request to response, without a socket."""

    async def work(platform: Platform) -> None:
        app = create_app(platform, toolsets=None, token=None)
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                await _post(app, {"title": f"Task number {number}"})

        profiler.enable()
        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        profiler.disable()

    _with_platform(work)


async def _post(app: ASGIApp, arguments: dict[str, str]) -> None:
    call = {"name": "create_task", "arguments": arguments}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": MCP_PATH,
        "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), *headers],
        "query_string": b"",
        "server": ("127.0.0.1", 80),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert b'"isError":false' in sent[-1]["body"], sent


def _with_platform(work: Callable[[Platform], Awaitable[None]]) -> None:
    async def session(data: Path) -> None:
        platform = Platform(open_backends(Config(data=data)))
        try:
            await platform.start()
            await work(platform)
        finally:
            await platform.stop()

    with folder() as data:
        run(session(data), serving=True)


PATHS = {
    "tool": Profiled("create_task in the HTTP application, 8 callers", tool_over_http, 2000),
    "pipeline": Profiled("lifecycles through the whole pipeline, 64 clients", pipeline, 2000),
    "decide": Profiled("lifecycles decided and evolved in memory", decide_and_evolve, 5000),
}


def main(arguments: list[str] | None = None) -> int:
    """Profile the paths that were chosen and print their top lines."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile",
        description="Show which functions take the time on the way of a command.",
        epilog="example: python -m bench.profile tool --top 20",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help=f"of {', '.join(PATHS)}")
    parser.add_argument("--top", type=int, default=10, help="lines of each (default: 10)")
    parser.add_argument("--count", type=int, help="how often each path is gone")
    given = parser.parse_args(arguments)
    if unknown := set(given.paths) - set(PATHS):
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(PATHS)}")
    collect_rarely()
    for name in given.paths or PATHS:
        path = PATHS[name]
        profiler = cProfile.Profile()
        path.work(given.count or path.times, profiler)
        _show(path.what, profiler, given.top)
    return 0


def _show(what: str, profiler: cProfile.Profile, top: int) -> None:
    stats = pstats.Stats(profiler)
    functions: Functions = vars(stats)["stats"]
    total = sum(own for _, _, own, _, _ in functions.values())
    table = Table(title=f"{what}: {total:.2f} s", box=None, pad_edge=False, title_justify="left")
    for heading in ("own", "with callees", "calls", "function"):
        table.add_column(heading, justify="left" if heading == "function" else "right")
    ranked = sorted(functions.items(), key=lambda entry: -entry[1][2])
    for (file, line, name), (_, calls, own, whole, _) in ranked[:top]:
        where = name if file == "~" else f"{_short(file)}:{line} {name}"
        table.add_row(f"{own / total:.1%}", f"{whole / total:.1%}", f"{calls:,}", where)
    wide = console()
    wide.print(table)
    wide.print()


def _short(file: str) -> str:
    """The path below the folder that packages are imported from."""
    roots = [str(ROOT), *sysconfig.get_paths().values()]
    found = [root for root in roots if file.startswith(root)]
    return file[len(max(found, key=len)) :].lstrip("/") if found else file


if __name__ == "__main__":
    sys.exit(main())
