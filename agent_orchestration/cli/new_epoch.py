"""`topics create --new-epoch`: going on after the log lost records."""

import sys
from typing import TYPE_CHECKING, Any

import typer

from agent_orchestration.cli.text import console, print_json, print_rows

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.pipeline.epoch_plan import EpochPlan


async def new_epoch(config: "Config", *, yes: bool, as_json: bool) -> None:
    """Show what the log lacks, ask, and let the platform go on with the graph as it is."""
    import msgspec  # noqa: PLC0415 (start-up time)

    from agent_orchestration.app import REGISTRY, open_backends  # noqa: PLC0415
    from agent_orchestration.backends.log.claim_check import ClaimCheckLog  # noqa: PLC0415
    from agent_orchestration.backends.log.kafka import KafkaLog  # noqa: PLC0415
    from agent_orchestration.pipeline.epoch_plan import plan_epoch  # noqa: PLC0415
    from agent_orchestration.pipeline.new_epoch import begin_epoch  # noqa: PLC0415

    async def quiet() -> None:
        await refuse_members(config)

    await quiet()
    backends = open_backends(config)
    whole, graph = backends.log, backends.graph
    assert isinstance(whole, ClaimCheckLog)
    log = whole.inner
    assert isinstance(log, KafkaLog)
    try:
        await graph.start()
        begun = await log.start_renewal()
        plan = await plan_epoch(log, whole, graph, begun=begun)
        if not as_json:
            _show(plan)
        if plan.needed:
            _confirm(yes=yes, as_json=as_json)
            await begin_epoch(plan, log, graph, REGISTRY, quiet)
        if as_json:
            print_json({"epoch": log.epoch, **msgspec.to_builtins(plan)})
        elif plan.needed:
            print(f"epoch {log.epoch} begins; the graph is now the only copy of what is missing")
        else:
            print("nothing is missing that the platform needs: the epoch stays as it is")
    finally:
        await log.stop()
        await graph.stop()


async def refuse_members(config: "Config") -> None:
    """Raises `Rejected` while a processor works on the log on Kafka."""
    from agent_orchestration.backends.log.kafka import groups  # noqa: PLC0415 (start-up time)
    from agent_orchestration.backends.log.kafka.connection import connected  # noqa: PLC0415
    from agent_orchestration.pipeline.topology import GROUP  # noqa: PLC0415

    async with connected(config.kafka) as connection:
        await groups.without_members(connection, config.kafka.prefix + GROUP, "repeat this")


def _confirm(*, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(
            "--new-epoch asks before it acts; where nobody answers, give --yes"
        )
    typer.confirm("Accept this, and go on with the graph as it is?", abort=True)


def _show(plan: "EpochPlan") -> None:
    if plan.tenants:
        console().print("Events that the log lacks")
        rows: list[dict[str, Any]] = [
            {
                "tenant": one.tenant,
                "graph has": f"1 to {one.graph_seq}" if one.graph_seq else "nothing",
                "log lacks": ", ".join(f"{a} to {b}" for a, b in one.missing),
                "then": f"set aside: {one.set_aside}" if one.set_aside else "goes on",
            }
            for one in plan.tenants
        ]
        print_rows(rows)
    lost = [one for one in plan.partitions if one.events_lost or one.commands_lost]
    if lost:
        console().print("Records that are gone, and that nobody had read")
        columns = ["partition", "events_lost", "commands_lost"]
        print_rows([{name: getattr(one, name) for name in columns} for one in lost], columns)
