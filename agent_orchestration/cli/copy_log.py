"""`copy-log`: an installation moves to the other backend, and back."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.alone import owned, require_log
from agent_orchestration.cli.new_epoch import refuse_members
from agent_orchestration.cli.progress import shown
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, run, settings
from agent_orchestration.cli.text import plain, print_json

if TYPE_CHECKING:
    from agent_orchestration.backends import Backends
    from agent_orchestration.config import Config

_NEXT = {
    "embedded": "set backend: embedded and data: {data} in config.yaml, then start `dev`",
    "kafka-neo4j": "set backend: kafka-neo4j in config.yaml, then start `processor` and `serve`",
}
_REBUILD = "set backend: {backend} in config.yaml, and run `rebuild`: the graph there is another's"


class Side(StrEnum):
    """The backends that a log can be on."""

    EMBEDDED = "embedded"
    KAFKA_NEO4J = "kafka-neo4j"


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command("copy-log")(copy_log)


def copy_log(
    origin: Annotated[Side, typer.Option("--from", help="Where the log is.")],
    target: Annotated[Side, typer.Option("--to", help="Where it is copied to; empty there.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the histories of all tenants, the commands that nobody decided yet, and their blobs to
    the other backend. Stop the platform before; repeat the verb when it was interrupted.

    Example: agent-orchestration copy-log --from embedded --to kafka-neo4j --config config.yaml
    """
    if origin is target:
        raise typer.BadParameter("--from and --to are the same: name the two backends")
    # --data is the embedded backend's: the other one keeps the blobs where its settings say.
    sides = [
        settings(config, data if side is Side.EMBEDDED else None, backend=side.value)
        for side in (origin, target)
    ]
    answer = run(_copy(sides[0], sides[1], as_json=as_json))
    if as_json:
        print_json(answer)
        return
    print(f"{answer['events']} events of {answer['tenants']} tenants, {answer['found']} of them")
    print(f"there before; {answer['commands']} commands to be decided; {answer['blobs']} blobs")
    print("source and target are equal: every tenant's last seq, and the digest of its history")
    if left := answer["repeated"] + answer["unreadable"]:
        print(f"left behind: {left} records that are repeated or unreadable")
    for digest in answer["missing_blobs"]:
        print(f"left behind: blob {plain(digest)}, which the source lacks")
    for number, step in enumerate(answer["next"], 1):
        print(f"{number}. {step}")


async def _copy(origin: "Config", target: "Config", *, as_json: bool) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 (start-up time)

    from agent_orchestration.app import open_backends  # noqa: PLC0415
    from agent_orchestration.pipeline import log_copy  # noqa: PLC0415

    async def quiet() -> None:
        await refuse_members(origin if origin.backend == Side.KAFKA_NEO4J else target)

    if origin.backend == Side.EMBEDDED:
        require_log(origin.data)
    embedded = origin if origin.backend == Side.EMBEDDED else target
    with owned(embedded.data, "copy the log"), shown("events", hidden=as_json) as told:
        source, filled = open_backends(origin), open_backends(target)
        other_graph = await _has_positions(filled)
        await source.log.start()
        try:
            copied = await log_copy.copy_log(
                log_copy.CopySide(source.log, source.blobs),
                log_copy.CopySide(filled.log, filled.blobs),
                quiet,
                told,
            )
        finally:
            await source.log.stop()
    steps = [_REBUILD.format(backend=target.backend)] if other_graph else []
    steps.append(_NEXT[target.backend].format(data=target.data))
    answer = {"from": origin.backend, "to": target.backend, "epoch": filled.log.epoch}
    return {**answer, **msgspec.to_builtins(copied), "next": steps}


async def _has_positions(backends: "Backends") -> bool:
    """Whether the target's graph was made from a log: not from the one that is to be filled."""
    from agent_orchestration.backends.graph import GraphUnreadable  # noqa: PLC0415 (start-up time)
    from agent_orchestration.pipeline.topology import EVENTS  # noqa: PLC0415

    numbers = range(backends.log.topics()[EVENTS].partitions)
    try:
        await backends.graph.start()
        return any([await backends.graph.position(number) for number in numbers])
    except GraphUnreadable:
        return False  # the platform sets it aside and makes it anew by itself
    finally:
        await backends.graph.stop()
