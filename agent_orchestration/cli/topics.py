"""`topics`: the topics on Kafka, made and looked at; see `topic_files` for what is in them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli import topic_files
from agent_orchestration.cli.session import ConfigOption, JsonOption, run, settings
from agent_orchestration.cli.text import print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_orchestration.backends.log.kafka.topics import PlannedTopic, TopicReport
    from agent_orchestration.config import Config

topics = typer.Typer(help="The topics of the log.", no_args_is_help=True)
COLUMNS = ["topic", "state", "partitions", "replicas", "retention", "carries", "drift"]
_HOUR_MS = 60 * 60 * 1000


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    topic_files.add_to(topics)
    program.add_typer(topics, name="topics")


@topics.command("create")
def create(
    new_epoch: Annotated[
        bool,
        typer.Option("--new-epoch", help="The log lost records: go on with the graph as it is."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask (with --new-epoch).")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make the topics that are missing; what is there stays as it is. Needed once, and after an
    update that brings new topics; repeating it is harmless.

    With --new-epoch, after the log lost records that no backup brings back: shows what is missing
    and lets the platform go on with the graph as it is. Stop the platform before.

    Example: agent-orchestration topics create --config config.yaml
    """
    from agent_orchestration.backends.log.kafka.topics import refuse_unusable  # noqa: PLC0415

    loaded = settings(config, backend="kafka-neo4j") if new_epoch else _settings(config)
    planned = _planned(loaded)
    reports = run(_work(loaded, planned, making=True))
    if not (new_epoch and as_json):
        _show(reports, as_json=as_json)
    refuse_unusable(reports, planned)
    if new_epoch:
        from agent_orchestration.cli.new_epoch import new_epoch as begin  # noqa: PLC0415

        run(begin(loaded, yes=yes, as_json=as_json))


@topics.command("describe")
def describe(as_json: JsonOption = False, config: ConfigOption = None) -> int:
    """Show the topics as they are; exit code 1 when one is missing or not as planned.

    Example: agent-orchestration topics describe --json
    """
    reports = described(_settings(config))
    _show(reports, as_json=as_json)
    return 0 if all(report.state == "ok" for report in reports) else 1


def described(config: "Config") -> "list[TopicReport]":
    """The topics as they are. Raises `Unavailable`."""
    return run(_work(config, _planned(config), making=False))


def _settings(config: Any) -> "Config":
    # The other settings of a backend are of no interest here, and may be missing.
    return settings(config, backend="embedded")


def _planned(config: "Config") -> "list[PlannedTopic]":
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)
    from agent_orchestration.backends.log.kafka.topics import configured, plan  # noqa: PLC0415
    from agent_orchestration.pipeline.topology import topics as all_topics  # noqa: PLC0415

    kafka = config.kafka
    wanted = configured(all_topics(REGISTRY, kafka.num_partitions), kafka)
    return plan(wanted, kafka, production=config.environment == "production")


async def _work(
    config: "Config", planned: "Sequence[PlannedTopic]", *, making: bool
) -> "list[TopicReport]":
    from agent_orchestration.backends.log.kafka import topics as kafka_topics  # noqa: PLC0415
    from agent_orchestration.backends.log.kafka.connection import connected  # noqa: PLC0415

    work = kafka_topics.create if making else kafka_topics.describe
    async with connected(config.kafka) as connection:
        return await work(connection, planned)


def _show(reports: "Sequence[TopicReport]", *, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415 (start-up time)

        print_json({"topics": msgspec.to_builtins(reports)})
        return
    rows: list[dict[str, Any]] = [
        {
            "topic": report.name,
            "state": report.state,
            "partitions": report.partitions or None,
            "replicas": report.replicas or None,
            "retention": _retention(report.settings.get("retention.ms")),
            "carries": report.carries,
            "drift": "; ".join(report.drift),
        }
        for report in reports
    ]
    print_rows(rows, COLUMNS if any(row["drift"] for row in rows) else COLUMNS[:-1])


def _retention(milliseconds: str | None) -> str | None:
    if milliseconds is None:
        return None
    hours = int(milliseconds) / _HOUR_MS
    if hours < 0:
        return "for ever"
    return f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"
