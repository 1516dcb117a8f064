"""`topics export`, `topics import`: what is in a topic, as a file, and back."""

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from agent_orchestration.cli.alone import owned, require_log
from agent_orchestration.cli.new_epoch import refuse_members
from agent_orchestration.cli.progress import shown
from agent_orchestration.cli.session import ConfigOption, DataOption, JsonOption, run, settings
from agent_orchestration.cli.text import plain, print_json

if TYPE_CHECKING:
    from agent_orchestration.backends.log import Log
    from agent_orchestration.backends.log.kafka import KafkaLog
    from agent_orchestration.config import Config
    from agent_orchestration.pipeline.topic_export import TopicExported
    from agent_orchestration.pipeline.topic_import import TopicImported

_STDOUT = Path("-")
_EMBEDDED = (
    "topics are put back on Kafka only: the embedded log is one file, whose feeds are views of its"
    " events, so bring back log.sqlite; for a topic on Kafka, set backend: kafka-neo4j"
)


def add_to(topics: typer.Typer) -> None:
    """Register the verbs."""
    topics.command("export")(export)
    topics.command("import")(import_)


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The topic, without a prefix.")],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Compressed where it ends in .gz; standard output unless named.",
            dir_okay=False,
            allow_dash=True,
            show_default=False,
        ),
    ] = _STDOUT,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Write all records kept of a topic, from the first to the end as it is now, as lines of JSON.
    On Kafka while everybody works; the embedded log while nobody does.

    Example: agent-orchestration topics export agent_events --to agent_events.json.gz
    """
    exported = run(_export(settings(config, data), name, to, hidden=as_json))
    if to == _STDOUT:
        return  # its last line says how many they are
    if as_json:
        import msgspec  # noqa: PLC0415 (start-up time)

        print_json({"file": str(to), **msgspec.to_builtins(exported)})
    else:
        print(plain(f"{exported.records} records of {exported.partitions} partitions in {to}"))


async def _export(config: "Config", name: str, to: Path, *, hidden: bool) -> "TopicExported":
    from agent_orchestration.app import open_backends  # noqa: PLC0415 (start-up time)
    from agent_orchestration.pipeline.topic_export import export_topic  # noqa: PLC0415

    with _alone(config):
        log = open_backends(config).log
        try:
            await (log.start() if config.backend == "embedded" else _kafka(log).start_reading())
            with _file(to) as file, shown("records", hidden=hidden) as told:
                return await export_topic(log, name, file, told)
        finally:
            await log.stop()


def _kafka(log: "Log") -> "KafkaLog":
    from agent_orchestration.backends.log.kafka import KafkaLog  # noqa: PLC0415
    from agent_orchestration.backends.log.wrapped import WrappedLog  # noqa: PLC0415

    assert isinstance(log, WrappedLog)
    assert isinstance(log.inner, KafkaLog)
    return log.inner


@contextlib.contextmanager
def _alone(config: "Config") -> Generator[None]:
    if config.backend != "embedded":
        yield
        return
    require_log(config.data)
    with owned(config.data, "export from it"):
        yield


@contextlib.contextmanager
def _file(to: Path) -> "Generator[BinaryIO]":
    from agent_orchestration.backends.log.topic_file import written  # noqa: PLC0415

    if to == _STDOUT:
        yield sys.stdout.buffer
        return
    with written(to) as file:
        yield file


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="What `topics export` wrote.", exists=True, dir_okay=False
        ),
    ],
    topic: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another topic than the one that the file is of."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Put the records of a file back into an empty topic on Kafka: partitions, order, keys, values
    and headers as they were. Offsets count anew; Kafka stamps its own time (LogAppendTime), from
    which retention counts. Stop the processors before; repeat the verb when it was interrupted.

    Example: agent-orchestration topics import agent_events.json.gz
    """
    loaded = settings(config)
    if loaded.backend == "embedded":
        from agent_orchestration.core.errors import Rejected  # noqa: PLC0415 (start-up time)

        raise Rejected("embedded_log", _EMBEDDED, field="backend")
    imported = run(_import(loaded, file, topic, hidden=as_json))
    if as_json:
        import msgspec  # noqa: PLC0415 (start-up time)

        print_json({"file": str(file), **msgspec.to_builtins(imported)})
        return
    print(f"{imported.records} records in {imported.topic}, {imported.found} of them there before")
    if imported.topic == "events":
        print("next: `agent-orchestration topics create --new-epoch`, then start the processors")


async def _import(
    config: "Config", file: Path, topic: str | None, *, hidden: bool
) -> "TopicImported":
    from agent_orchestration.app import open_backends  # noqa: PLC0415 (start-up time)
    from agent_orchestration.backends.log.topic_file import TopicFile  # noqa: PLC0415
    from agent_orchestration.backends.log.wrapped import WrappedLog  # noqa: PLC0415
    from agent_orchestration.pipeline.topic_import import import_topic  # noqa: PLC0415

    async def quiet() -> None:
        await refuse_members(config)

    log = open_backends(config).log
    assert isinstance(log, WrappedLog)
    with shown("records", hidden=hidden) as told:
        return await import_topic(log, topic, TopicFile(file), quiet, told)
