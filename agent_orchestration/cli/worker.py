"""`worker`: agents at work."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    MetricsHostOption,
    MetricsPortOption,
    expose_metrics,
    run,
    settings,
    tracing,
    with_dispatcher,
)
from agent_orchestration.cli.text import plain, print_json
from agent_orchestration.core.errors import Rejected

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.dispatch import ToolCaller
    from agent_orchestration.workers.held import HeldTask
    from agent_orchestration.workers.hosting import HostedAgent
    from agent_orchestration.workers.worker import Change


ModuleOption = Annotated[
    str | None, typer.Option(metavar="MODULE", help="Functions made agents: a.b, or a file.")
]
TemplateOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="An agent of this template, by a model.")
]
AgentOption = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Only this agent; may be repeated.")
]
FunctionsOption = Annotated[
    str | None, typer.Option(metavar="MODULE", help="Functions that models may call.")
]
ServersOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="MCP servers whose tools models may call.")
]
CoordinatorOption = Annotated[
    bool, typer.Option("--coordinator", help="Coordinate what consists of others' tasks.")
]
PricesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What models cost, in place of our list.")
]
RecordOption = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Keep what models and tools answer, ask nothing twice."),
]
ReplayOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Ask no model and no tool: use what was kept.")
]
McpOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Reach the platform over MCP there.")
]
GraceOption = Annotated[
    float, typer.Option(min=0, help="How long SIGTERM lets what is held go on, in seconds.")
]
LeaseOption = Annotated[
    int | None,
    typer.Option(min=1, max=86400, help="After so much silence others take tasks over: seconds."),
]


class ModelOptions(NamedTuple):
    """What the options say of agents by a language model: see those."""

    template: str | None
    ids: Sequence[str]
    functions: str | None
    mcp_servers: Path | None
    prices: Path | None
    record: Path | None
    replay: Path | None


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(worker)


def worker(
    module: ModuleOption = None,
    template: TemplateOption = None,
    agent: AgentOption = None,
    coordinator: CoordinatorOption = False,
    functions: FunctionsOption = None,
    mcp_servers: ServersOption = None,
    prices: PricesOption = None,
    record: RecordOption = None,
    replay: ReplayOption = None,
    mcp: McpOption = None,
    lease_seconds: LeaseOption = None,
    grace_seconds: GraceOption = 25.0,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Let agents work until SIGTERM: they claim tasks that they are capable of, carry them out and
    report. They are Python functions (--module), or carried out by a language model: one made from
    a template (--template), or those that exist (--agent). A coordinator (--coordinator) has
    others do what plan_goal and work_together ask for.

    Example: agent-orchestration worker --module my_agents.py
    """
    loaded = settings(config, data)
    options = ModelOptions(template, agent or [], functions, mcp_servers, prices, record, replay)
    _check(module, options, coordinator=coordinator)

    async def work(dispatcher: "ToolCaller") -> None:
        async with contextlib.AsyncExitStack() as stack:
            agents = _coordinators(dispatcher) if coordinator else []
            agents += await _agents(stack, dispatcher, loaded, module, options)
            await _host(dispatcher, agents, lease_seconds, grace_seconds, as_json=as_json)

    expose_metrics(metrics_port, metrics_host)
    if mcp is None:
        with_dispatcher(loaded, work, serve=True, traced="worker")
    else:
        with tracing(loaded, "worker"):
            run(_over_mcp(mcp, loaded, work), serving=True)


def _check(module: str | None, options: ModelOptions, *, coordinator: bool) -> None:
    """Before anything starts. Raises `Rejected` where options do not go together."""
    if module is None and options.template is None and not options.ids and not coordinator:
        problem = "name whom to let work: --module, --template, --agent or --coordinator"
        raise Rejected("no_agents", problem, field="module")
    if options.record is not None and options.replay is not None:
        problem = "replay: --record is given, too; record first, replay then"
        raise Rejected("invalid_argument", problem, field="replay")
    if module is not None and (options.record or options.replay) is not None:
        problem = "module: functions are not recorded; leave out --record and --replay"
        raise Rejected("invalid_argument", problem, field="module")


def _coordinators(dispatcher: "ToolCaller") -> "list[HostedAgent]":
    from agent_orchestration.workers.coordination.agent import (  # noqa: PLC0415 (start-up time)
        Coordinator,
    )

    return [Coordinator(dispatcher)]


async def _agents(
    stack: contextlib.AsyncExitStack,
    dispatcher: "ToolCaller",
    config: "Config",
    module: str | None,
    options: "ModelOptions",
) -> "Sequence[HostedAgent]":
    """Functions where a module is named, else those by a model; none of either where neither is."""
    if module is not None:
        from agent_orchestration.workers.found import agents_of  # noqa: PLC0415 (start-up time)

        return agents_of(module, options.ids)
    if options.template is None and not options.ids:
        return []
    from agent_orchestration.cli.model_agents import model_agents  # noqa: PLC0415 (start-up time)

    return await stack.enter_async_context(model_agents(dispatcher, config, options))


async def _host(
    dispatcher: "ToolCaller",
    agents: "Sequence[HostedAgent]",
    lease_seconds: int | None,
    grace_seconds: float,
    *,
    as_json: bool,
) -> None:
    from agent_orchestration.workers.hosting import Host  # noqa: PLC0415 (start-up time)

    def tell(task: "HeldTask", change: "Change") -> None:
        if as_json:
            line = {"task_id": task.id, "agent_id": task.agent_id, "attempt": task.attempt}
            print_json({**line, "change": change})
        else:
            again = f", attempt {task.attempt}" if task.attempt > 1 else ""
            print(plain(f"{task.agent_id}: {task.id} {change}{again} ({task.title})"), flush=True)

    host = Host(dispatcher, agents, lease_seconds=lease_seconds, watch=tell)
    host.drain_on_sigterm(grace_seconds)
    await host.make_known()
    names = [one.id for one in agents]
    if as_json:
        print_json({"agents": names})
    else:
        print(f"Working: {', '.join(names)}. Ctrl-C ends it.", flush=True)
    await host.run()


async def _over_mcp(
    url: str, config: "Config", work: "Callable[[ToolCaller], Awaitable[None]]"
) -> None:
    from fastmcp.client.transports import StreamableHttpTransport  # noqa: PLC0415 (start-up time)

    from agent_orchestration.workers.over_mcp import McpCalls, TokenAuth  # noqa: PLC0415

    token = config.server.access_token or config.server.token
    auth = TokenAuth(None if token is None else token.get_secret_value())
    calls = McpCalls(lambda: StreamableHttpTransport(url, auth=auth), auth)
    try:
        await work(calls)
    finally:
        await calls.close()
