"""`worker`: agents at work."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    run,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import plain, print_json
from agent_orchestration.core.errors import Rejected

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.core.dispatch import ToolCaller
    from agent_orchestration.workers.held import HeldTask
    from agent_orchestration.workers.hosting import HostedAgent
    from agent_orchestration.workers.llm_tools import Toolbox
    from agent_orchestration.workers.prices import PriceList
    from agent_orchestration.workers.recording import Recordings
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
MetricsOption = Annotated[
    int | None,
    typer.Option(min=1, max=65535, metavar="PORT", help="Metrics for Prometheus on 127.0.0.1."),
]


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
    metrics_port: MetricsOption = None,
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
    ids = agent or []
    if module is None and template is None and not ids and not coordinator:
        problem = "name whom to let work: --module, --template, --agent or --coordinator"
        raise Rejected("no_agents", problem, field="module")
    recordings = _recordings(loaded, record, replay, module)

    _serve_metrics(metrics_port)

    async def work(dispatcher: "ToolCaller") -> None:
        async with contextlib.AsyncExitStack() as stack:
            agents: list[HostedAgent] = _coordinators(dispatcher) if coordinator else []
            if module is not None:
                agents += _functions(module, ids)
            elif template is not None or ids:
                made = _by_model(
                    dispatcher,
                    loaded,
                    template,
                    ids,
                    toolbox=_toolbox(functions, mcp_servers),
                    prices=_prices(loaded, prices),
                    recordings=recordings,
                )
                agents += await stack.enter_async_context(made)
            await _host(dispatcher, agents, lease_seconds, grace_seconds, as_json=as_json)

    if mcp is None:
        with_dispatcher(loaded, work, serve=True)
    else:
        run(_over_mcp(mcp, loaded, work), serving=True)


def _serve_metrics(port: int | None) -> None:
    if port is not None:
        from agent_orchestration.metrics import serve_metrics  # noqa: PLC0415 (start-up time)

        serve_metrics(port)


def _functions(module: str, ids: Sequence[str]) -> "Sequence[HostedAgent]":
    from agent_orchestration.workers.found import agents_of  # noqa: PLC0415 (start-up time)

    return agents_of(module, ids)


def _coordinators(dispatcher: "ToolCaller") -> "list[HostedAgent]":
    from agent_orchestration.workers.coordination.agent import (  # noqa: PLC0415 (start-up time)
        Coordinator,
    )

    return [Coordinator(dispatcher)]


def _toolbox(functions: str | None, servers: Path | None) -> "Toolbox":
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.found import functions_of, servers_of  # noqa: PLC0415
    from agent_orchestration.workers.llm_tools import Toolbox  # noqa: PLC0415

    return Toolbox(REGISTRY, functions_of(functions) if functions else (), servers_of(servers))


def _prices(config: "Config", file: Path | None) -> "PriceList":
    """Our list is of what is known to cost money; a service of one's own costs nothing unless a
    list says so."""
    from agent_orchestration.workers.prices import PriceList, read_prices  # noqa: PLC0415

    if file is None and config.openai.base_url is not None:
        return PriceList(version="own service", models={}, unknown=0)
    return read_prices(file)


def _recordings(
    config: "Config", record: Path | None, replay: Path | None, module: str | None
) -> "Recordings":
    from agent_orchestration.config_types import secrets_of  # noqa: PLC0415 (start-up time)
    from agent_orchestration.workers.recording import (  # noqa: PLC0415
        NoRecordings,
        RecordedAnswers,
        ReplayedAnswers,
    )
    from agent_orchestration.workers.redaction import Redaction  # noqa: PLC0415

    if record is not None and replay is not None:
        problem = "replay: --record is given, too; record first, replay then"
        raise Rejected("invalid_argument", problem, field="replay")
    if module is not None and (record or replay) is not None:
        problem = "module: functions are not recorded; leave out --record and --replay"
        raise Rejected("invalid_argument", problem, field="module")
    redaction = Redaction(config.recording.redact, secrets_of(config))
    if record is not None:
        return RecordedAnswers(record, redaction)
    return NoRecordings() if replay is None else ReplayedAnswers(replay, redaction)


@contextlib.asynccontextmanager
async def _by_model(
    dispatcher: "ToolCaller",
    config: "Config",
    template: str | None,
    ids: Sequence[str],
    *,
    toolbox: "Toolbox",
    prices: "PriceList",
    recordings: "Recordings",
) -> "AsyncGenerator[Sequence[HostedAgent]]":
    from agent_orchestration.backends.llm.openai import (  # noqa: PLC0415 (start-up time)
        OpenAIChatModel,
    )
    from agent_orchestration.workers.template_agent import template_agent  # noqa: PLC0415

    model = OpenAIChatModel(config.openai)
    try:
        await toolbox.start()
        yield [
            await template_agent(
                dispatcher,
                agent_id=agent_id,
                template=template,
                model=model,
                default_model=config.openai.default_model,
                toolbox=toolbox,
                prices=prices,
                recordings=recordings,
            )
            for agent_id in ids or filter(None, [template])
        ]
    finally:
        await toolbox.stop()
        await model.close()


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

    from agent_orchestration.workers.over_mcp import McpCalls  # noqa: PLC0415

    token = config.server.token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    calls = McpCalls(lambda: StreamableHttpTransport(url, headers=headers))
    try:
        await work(calls)
    finally:
        await calls.close()
