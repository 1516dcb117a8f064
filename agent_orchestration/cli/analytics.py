"""`analytics`: what happens in each minute, hour and day, counted from Kafka."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from agent_orchestration.cli.serve import is_loopback
from agent_orchestration.cli.session import (
    ConfigOption,
    JsonOption,
    MetricsHostOption,
    MetricsPortOption,
    expose_metrics,
    run,
    settings,
)
from agent_orchestration.cli.text import print_json
from agent_orchestration.core.errors import Rejected

if TYPE_CHECKING:
    from agent_orchestration.analytics.worker import Worker
    from agent_orchestration.config import Config

PORT = 8200
HostOption = Annotated[str, typer.Option(help="Where to listen.", metavar="HOST")]
PortOption = Annotated[int, typer.Option(help="0 takes a free one.", metavar="PORT")]


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command()(analytics)


def analytics(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Count the log again from its beginning, then go on.")
    ] = False,
    port: PortOption = PORT,
    host: HostOption = "127.0.0.1",
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = "127.0.0.1",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Count what is in the feeds of Kafka in windows of time, and answer the servers' questions
    about it. One process counts; more of them wait to take over.

    Needs the extra `analytics`. Servers find it by the setting analytics.url.

    Example: agent-orchestration analytics --config config.yaml --metrics-port 9091
    """
    # It has no use for the graph, whose settings may be missing.
    loaded = settings(config, backend="embedded")
    if loaded.server.token is None and not is_loopback(host):
        reason = f"{host} can be reached from other machines: set server.token, there and here"
        raise typer.BadParameter(reason, param_hint="--host")
    worker = _worker_class()
    expose_metrics(metrics_port, metrics_host)
    run(_work(loaded, worker, (host, port), rebuild=rebuild, as_json=as_json), serving=True)


def _worker_class() -> "type[Worker]":
    try:
        from agent_orchestration.analytics.worker import Worker  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        if error.name != "faust":
            raise
        reason = "analytics: Faust is not installed; install agent-orchestration[analytics]"
        raise Rejected("extra_missing", reason, extra="analytics") from None
    return Worker


async def _work(
    config: "Config",
    worker_class: "type[Worker]",
    address: tuple[str, int],
    *,
    rebuild: bool,
    as_json: bool,
) -> None:
    from agent_orchestration.analytics.serving import create_app  # noqa: PLC0415 (start-up time)
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415
    from agent_orchestration.backends.kafka_neo4j import blobs_of, log_of  # noqa: PLC0415
    from agent_orchestration.backends.log.archive import opened  # noqa: PLC0415
    from agent_orchestration.core.folding import RULES  # noqa: PLC0415
    from agent_orchestration.pipeline.topology import topics  # noqa: PLC0415
    from agent_orchestration.server.serve import serve_http  # noqa: PLC0415

    async def started(url: str) -> None:
        if as_json:
            print_json({"pid": os.getpid(), "url": url})
        else:
            print(f"analytics {os.getpid()} answers at {url}. Ctrl-C ends it.", flush=True)

    parts = opened(config.archive), blobs_of(config)
    log = log_of(config, topics(REGISTRY, config.kafka.num_partitions), RULES, parts)
    token = config.server.token
    worker = worker_class(config.kafka, log, REGISTRY)
    app = create_app(
        worker, None if token is None else token.get_secret_value(), ready=worker.ready.is_set
    )
    replicas = config.kafka.replication_factor or (3 if config.environment == "production" else 1)
    await log.start()
    try:
        counting = asyncio.create_task(worker.run(rebuild=rebuild, replicas=replicas))
        serving = asyncio.create_task(serve_http(app, *address, on_started=started))
        try:
            await asyncio.wait({counting, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (counting, serving):
                task.cancel()
            ended = await asyncio.gather(counting, serving, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        await log.stop()
