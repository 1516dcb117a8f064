"""The topics on the cluster: how they are to be, how they are, and making those that are missing.

What is there is never changed: other settings are reported as drift.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiokafka.admin.config_resource import ConfigResourceType
from aiokafka.errors import KafkaError, LeaderNotAvailableError, TopicAlreadyExistsError
from aiokafka.protocol.admin import (
    CreateTopicsRequest,
    DeleteRecordsRequest,
    DescribeConfigsRequest,
)
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import Topic, common_count
from agent_orchestration.backends.log.kafka import epoch
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import CREATE, check
from agent_orchestration.backends.log.kafka.metadata import FoundTopic, find_topics
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.errors import Rejected

_CREATE_MS = 10_000
_DELETE_MS = 10_000
#: Replicas from which on one may be missing while records are taken.
_SAFE_REPLICAS = 3


class PlannedTopic(msgspec.Struct, frozen=True):
    """A topic as it is to be: `name` on the cluster, and Kafka's names for its settings."""

    topic: Topic
    name: str
    replicas: int
    settings: dict[str, str]


class TopicReport(msgspec.Struct, frozen=True):
    """A topic as it is, and in `drift` what is not as planned, in words. `state`: `missing`,
    `created` (just now), `ok` or `drift`."""

    name: str
    carries: str
    state: str
    partitions: int
    replicas: int
    settings: dict[str, str]
    drift: list[str]


def configured(topics: Iterable[Topic], settings: Kafka) -> list[Topic]:
    """The topics with what the settings say of them. On Kafka every topic is one of its own, the
    feeds too. Raises `Rejected` for settings that contradict what the topics are for."""
    plain = {topic.name: msgspec.structs.replace(topic, view_of=None) for topic in topics}
    for one in settings.topics:
        if one.name not in plain:
            reason = f"kafka.topics: there is no topic {one.name}; there are {', '.join(plain)}"
            raise Rejected("unknown_topic", reason, field="kafka.topics")
        topic = plain[one.name]
        if one.retention_ms is not None and topic.retention_ms is None:
            reason = f"kafka.topics: {one.name} is kept for ever; leave out its retention_ms"
            raise Rejected("kept_for_ever", reason, field="kafka.topics")
        plain[one.name] = msgspec.structs.replace(
            topic,
            partitions=one.partitions or topic.partitions,
            retention_ms=one.retention_ms or topic.retention_ms,
        )
    if covered := [name for name in epoch.COVERED if name in plain]:
        common_count(plain, covered)
    return list(plain.values())


def plan(topics: Iterable[Topic], settings: Kafka, *, production: bool) -> list[PlannedTopic]:
    """How the topics are to be; `log_epoch` is one more."""
    replicas = settings.replication_factor or (_SAFE_REPLICAS if production else 1)
    common = {
        "cleanup.policy": "delete",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2" if replicas >= _SAFE_REPLICAS else "1",
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
    }
    return [
        PlannedTopic(
            topic,
            settings.prefix + topic.name,
            replicas,
            {**common, "retention.ms": str(topic.retention_ms or -1)},
        )
        for topic in [*topics, epoch.TOPIC]
    ]


async def describe(connection: Connection, planned: Sequence[PlannedTopic]) -> list[TopicReport]:
    """All planned topics as they are. Raises `Unavailable`."""
    found = await find_topics(connection, [one.name for one in planned])
    settings = await _settings(connection, planned, list(found))
    return [_report(one, found.get(one.name), settings.get(one.name, {})) for one in planned]


async def delete_before(connection: Connection, place: TopicPartition, offset: int) -> None:
    """Delete a partition's records before an offset within its bounds. Raises `Unavailable`."""
    request = DeleteRecordsRequest([(place.topic, [(place.partition, offset)])], _DELETE_MS)

    async def attempt() -> None:
        answer = await connection.ask(connection.leader(place), request)
        for topic in answer.topics:
            for partition in topic[1]:
                check(partition[2])

    await connection.retrying(attempt, f"deleting the first records of {place.topic}")


async def create(connection: Connection, planned: Sequence[PlannedTopic]) -> list[TopicReport]:
    """Make the topics that are missing, and begin a new epoch where that made the log anew.
    Repeating it is harmless. Raises `Unavailable`, `Rejected` for what the cluster refuses."""
    names = [one.name for one in planned]
    before = await find_topics(connection, names)
    for one in planned:
        if one.name not in before:
            await _create(connection, one)
    found = await _all_there(connection, names)
    by_topic = {one.topic.name: found[one.name] for one in planned}
    reader = Reader(connection, {one.name: one.topic.name for one in planned})
    place = TopicPartition(by_topic[epoch.TOPIC.name].name, 0)
    await epoch.Epochs(reader, Appender(connection), place, by_topic).ensure()
    return [
        msgspec.structs.replace(report, state="created") if report.name not in before else report
        for report in await describe(connection, planned)
    ]


async def _create(connection: Connection, one: PlannedTopic) -> None:
    entry: Any = (one.name, one.topic.partitions, one.replicas, [], list(one.settings.items()))
    doing = f"creating the topic {one.name}"

    async def ask() -> list[Any]:
        request = CreateTopicsRequest([entry], _CREATE_MS, False)
        answer = await connection.ask(connection.anyone(), request)
        [(_, code, *said)] = answer.topic_errors
        try:
            if code != TopicAlreadyExistsError.errno:
                check(code)
        except KafkaError as error:
            if error.retriable:
                raise
            return [type(error).__name__, *said]
        return []

    if refused := await connection.retrying(ask, doing):
        reason = f"{doing}: Kafka refuses: {': '.join(str(part) for part in refused if part)}"
        raise Rejected("topic_refused", reason, topic=one.name)


async def _all_there(connection: Connection, names: list[str]) -> dict[str, FoundTopic]:
    """What was created is not known to every broker at once."""

    async def look() -> dict[str, FoundTopic]:
        found = await find_topics(connection, names)
        if missing := sorted(set(names) - set(found)):
            raise LeaderNotAvailableError(", ".join(missing))
        return found

    await connection.watch(names)
    return await connection.retrying(look, "waiting for the new topics")


async def _settings(
    connection: Connection, planned: Sequence[PlannedTopic], there: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Of each topic that there is, the settings that its plan has."""
    resources = [
        (ConfigResourceType.TOPIC, one.name, list(one.settings))
        for one in planned
        if one.name in there
    ]

    async def ask() -> Any:
        request = DescribeConfigsRequest(resources, False)
        answer = await connection.ask(connection.anyone(), request)
        for code, *_ in answer.resources:
            check(code)
        return answer

    if not resources:
        return {}
    answer = await connection.retrying(ask, "reading the settings of topics")
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for _, _, _, name, entries in answer.resources
    }


def _report(
    planned: PlannedTopic, found: FoundTopic | None, settings: dict[str, str]
) -> TopicReport:
    topic = planned.topic
    if found is None:
        return TopicReport(planned.name, topic.carries, "missing", 0, 0, {}, [])
    drift = [
        f"{name} is {is_now}, planned {wanted}"
        for name, is_now, wanted in (
            ("partitions", found.partitions, topic.partitions),
            ("replicas", found.replicas, planned.replicas),
            *((name, settings.get(name), wanted) for name, wanted in planned.settings.items()),
        )
        if is_now != wanted
    ]
    state = "drift" if drift else "ok"
    return TopicReport(
        planned.name, topic.carries, state, found.partitions, found.replicas, settings, drift
    )


def refuse_unusable(reports: Iterable[TopicReport], planned: Sequence[PlannedTopic]) -> None:
    """Raises `Rejected` for topics that are missing, or with which the platform would go wrong."""
    by_name = {one.name: one for one in planned}
    missing: list[str] = []
    for report in reports:
        one = by_name[report.name]
        if report.state == "missing":
            missing.append(report.name)
        else:
            refuse_count(one.topic, report.partitions)
            _refuse_settings(report, one)
    refuse_missing(missing)


def refuse_count(topic: Topic, partitions: int) -> None:
    """Raises `Rejected` where the topic has another number of partitions than it must have."""
    if partitions != topic.partitions:
        reason = (
            f"topic {topic.name} has {partitions} partitions in the cluster and {topic.partitions}"
            " in the configuration: the count cannot change; set it back there, or export the"
            " topic, delete it, and import it into one with the count that it had"
        )
        raise Rejected("partitions_changed", reason, field="partitions", topic=topic.name)


def refuse_missing(names: Sequence[str]) -> None:
    """Raises `Rejected` where there are any."""
    if names:
        reason = f"the topics {', '.join(names)} are missing: run {CREATE}"
        raise Rejected("topics_missing", reason, topics=list(names))


def _refuse_settings(report: TopicReport, planned: PlannedTopic) -> None:
    needed = {"message.timestamp.type", "cleanup.policy"}
    if planned.topic.retention_ms is None:
        needed |= {"retention.ms", "retention.bytes"}
    wrong = [name for name in sorted(needed) if report.settings[name] != planned.settings[name]]
    if wrong:
        told = ", ".join(f"{name}={planned.settings[name]}" for name in wrong)
        reason = f"topic {report.name} must have {told}: set it with Kafka's tools, and start again"
        raise Rejected("topic_settings", reason, topic=report.name)
