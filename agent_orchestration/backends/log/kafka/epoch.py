"""Which log this is: a number that grows when the log is made anew.

Positions are (epoch, offset) and are compared, so the epoch must grow. Kafka has nothing of that
kind: the id of a topic changes when it is made again, but is random. So the topic `log_epoch` keeps
each epoch with the ids of the topics it began with. `topics create` writes a new one when these ids
have changed; a log whose ids are not those of the last epoch does not start.
"""

import time
from collections.abc import Mapping

import msgspec
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.errors import CREATE
from agent_orchestration.backends.log.kafka.metadata import FoundTopic
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt

TOPIC = Topic("log_epoch", "which log this is", 1, None)
#: The topics whose positions are kept elsewhere: in the graph, in events, with the groups.
COVERED = ("commands", "events")
_READ_AT_ONCE = 100


class Epoch(msgspec.Struct, frozen=True):
    """`topics`: the ids of the covered topics, by name."""

    number: int
    topics: dict[str, str]


async def read_epoch(reader: Reader, place: TopicPartition) -> Epoch | None:
    """The last epoch written; None before the first. Raises `Corrupt` for what is none."""
    offset, _ = await reader.bounds(place)
    last: bytes | None = None
    while found := await reader.read(place, offset, _READ_AT_ONCE):
        last, offset = found[-1].value, found[-1].offset + 1
    if last is None:
        return None
    try:
        return msgspec.json.decode(last, type=Epoch)
    except msgspec.DecodeError as error:
        raise Corrupt("log_epoch", f"{place.topic}: the last record is no epoch: {error}") from None


async def ensure_epoch(
    reader: Reader, appender: Appender, place: TopicPartition, found: Mapping[str, FoundTopic]
) -> Epoch:
    """The epoch of these topics (by the platform's names), a new one where it is needed."""
    last = await read_epoch(reader, place)
    ids = {name: found[name].id for name in COVERED if name in found}
    if last is not None and _is_of(last, ids) and ids.keys() <= last.topics.keys():
        return last
    number = last.number if last is not None else 0
    if last is None or not _is_of(last, ids):
        number = max(time.time_ns() // 1_000_000, number + 1)
    epoch = Epoch(number, ids)
    await appender.append(place, [Record(b"epoch", msgspec.json.encode(epoch))])
    return epoch


def checked(epoch: Epoch | None, found: Mapping[str, FoundTopic]) -> int:
    """The epoch's number. Raises `Corrupt` where the topics are not those it began with."""
    ids = {name: found[name].id for name in COVERED if name in found}
    if epoch is None or not _is_of(epoch, ids):
        reason = (
            f"the topics {', '.join(ids)} were made anew, so positions in them mean nothing any"
            f" more: bring the old ones back, or run {CREATE} and then rebuild the graph"
        )
        raise Corrupt("log_replaced", reason)
    return epoch.number


def _is_of(epoch: Epoch, ids: Mapping[str, str]) -> bool:
    return all(epoch.topics.get(name, one) == one for name, one in ids.items())
