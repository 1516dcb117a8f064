"""Which log this is: a number that grows when the log is made anew.

Positions are (epoch, offset) and are compared, so the epoch must grow. Kafka has nothing of that
kind: the id of a topic changes when it is made again, but is random. So the topic `log_epoch` keeps
each epoch with the ids of the topics it began with. `topics create` writes a new one when these ids
have changed; a log whose ids are not those of the last epoch does not start. `topics create
--new-epoch` writes one too, and before it what the log lacks from then on.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.copy_mark import CopyMark, goes_on, unfinished
from agent_orchestration.backends.log.kafka.appender import Appender
from agent_orchestration.backends.log.kafka.errors import CREATE
from agent_orchestration.backends.log.kafka.metadata import FoundTopic
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.core.envelope import Record
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.messages import canonical

TOPIC = Topic("log_epoch", "which log this is", 1, None)
#: The topics whose positions are kept elsewhere: in the graph, in events, with the groups.
COVERED = ("commands", "events")
REMEDY = f"delete the topics and run {CREATE}, or choose another kafka.prefix"
COPY, RENEWAL = "copy-log", "topics create --new-epoch"
IMPORT = "topics import FILE --topic"
_KEY, _MISSING_KEY = b"epoch", b"missing"
_READ_AT_ONCE = 100
#: Entries of one record of what is missing.
_MISSING_AT_ONCE = 1000


class Epoch(msgspec.Struct, frozen=True, omit_defaults=True):
    """`topics`: the ids of the covered topics, by name; `partitions`: how many each of them has,
    which decides where a tenant is (None in epochs of older versions). `copied_from` is the epoch
    of the log that this one was filled from, `unfinished` the verb that has still to end before it
    may be used."""

    number: int
    topics: dict[str, str]
    copied_from: int | None = None
    unfinished: str = ""
    partitions: int | None = None


class Epochs:
    """The epochs of the log whose covered topics are `found` (by the platform's names)."""

    def __init__(
        self,
        reader: Reader,
        appender: Appender,
        place: TopicPartition,
        found: Mapping[str, FoundTopic],
    ) -> None:
        self._reader = reader
        self._appender = appender
        self._place = place
        self._ids = {name: found[name].id for name in COVERED if name in found}
        #: The partitions of the covered topics.
        self.counts = {name: found[name].partitions for name in self._ids}
        self._partitions = min(self.counts.values(), default=None)

    async def ensure(self) -> Epoch:
        """The present epoch, a new one where it is needed."""
        last = await self._last()
        if last is None or not self._is_of(last):
            return await self._write(self._new(self._next(last)))
        self._check_partitions(last)
        if self._ids.keys() <= last.topics.keys():
            return last
        return await self._write(msgspec.structs.replace(last, topics=self._ids))

    async def checked(self, going_on: str = "") -> int:
        """The present epoch's number. Raises `Corrupt` where the topics are not those it began
        with, `Rejected` where something that was begun on the log did not end, save the verb that
        is `going_on`."""
        last = await self._last()
        if last is None or not self._is_of(last):
            reason = (
                f"the topics {', '.join(self._ids)} were made anew, so positions in them mean"
                f" nothing any more: bring the old ones back, or run {CREATE} and then rebuild the"
                " graph from what there is, or with --new-epoch go on with the graph as it is"
            )
            raise Corrupt("log_replaced", reason)
        self._check_partitions(last)
        if last.unfinished not in ("", going_on):
            raise unfinished(last.unfinished, REMEDY)
        return last.number

    async def wait_for(self, verb: str, instead_of: str = "") -> None:
        """The log is not whole until `verb` has ended, where it was not until `instead_of` has."""
        last = await self._last()
        if last is not None and last.unfinished == instead_of:
            await self._write(msgspec.structs.replace(last, unfinished=verb))

    async def newest(self) -> int:
        """The last epoch's number, whether the topics are still those or not. Raises `Corrupt`."""
        last = await self._last()
        return last.number if last is not None else self._next(None)

    async def begin_copy(self, source: int, *, empty: bool) -> int:
        """The number of an epoch for the copy of the log whose epoch is `source`. Raises
        `Rejected`, see `goes_on`."""
        last = await self._last()
        mark = None
        if last is not None and last.copied_from is not None and self._is_of(last):
            mark = CopyMark(last.copied_from, last.unfinished != COPY)
        if last is not None and goes_on(mark, source, empty=empty, remedy=REMEDY):
            return last.number
        number = max(self._next(last), source + 1)
        await self._write(self._new(number, copied_from=source, unfinished=COPY))
        return number

    async def to_renew(self) -> Epoch:
        """The present epoch, as it may be renewed. Raises `Rejected` for a log that was not filled
        to the end."""
        last = await self.ensure()
        if last.unfinished not in ("", RENEWAL):
            raise unfinished(last.unfinished, REMEDY)
        return last

    async def renew(self) -> int:
        """The number of a new epoch of the same topics, which counts when it is finished."""
        number = self._next(await self._last())
        await self._write(self._new(number, unfinished=RENEWAL))
        return number

    async def holds(self, topic: str, number: int) -> bool:
        """Whether the topic is still the one that it was in that epoch."""
        ids = {one.number: one.topics.get(topic) for one in await self._all()}
        return topic in self._ids and ids.get(number) == self._ids[topic]

    async def finish(self, missing: Sequence[Mapping[str, Any]] = ()) -> None:
        """What was begun on the log has ended, and this is what the log lacks."""
        last = await self._last()
        if last is not None and last.unfinished:
            parts = [
                {"epoch": last.number, "missing": missing[start : start + _MISSING_AT_ONCE]}
                for start in range(0, len(missing), _MISSING_AT_ONCE)
            ]
            records = [Record(_MISSING_KEY, canonical(part)) for part in parts]
            await self._appender.append(self._place, records)
            await self._write(msgspec.structs.replace(last, unfinished=""))

    def _new(self, number: int, copied_from: int | None = None, unfinished: str = "") -> Epoch:
        return Epoch(number, self._ids, copied_from, unfinished, self._partitions)

    def _check_partitions(self, epoch: Epoch) -> None:
        """Raises `Rejected` where tenants are looked for elsewhere than they were put."""
        began, now = epoch.partitions, self._partitions
        if began is not None and now is not None and began != now:
            raise Rejected(
                "partitions_changed",
                f"the log began with {began} partitions of {' and '.join(COVERED)} and has {now}"
                " now, where each tenant would be looked for in another one: a log keeps its count;"
                " go back to it, or begin anew under another kafka.prefix",
                field="kafka.num_partitions",
            )

    async def _last(self) -> Epoch | None:
        return (await self._all() or [None])[-1]

    async def _all(self) -> Sequence[Epoch]:
        """Every epoch written, in order. Raises `Corrupt` for a record that is none."""
        epochs: list[Epoch] = []
        offset, _ = await self._reader.bounds(self._place)
        while found := await self._reader.read(self._place, offset, _READ_AT_ONCE):
            offset = found[-1].offset + 1
            try:
                epochs += [msgspec.json.decode(r.value, type=Epoch) for r in found if r.key == _KEY]
            except msgspec.DecodeError as error:
                reason = f"{self._place.topic}: a record is no epoch: {error}"
                raise Corrupt("log_epoch", reason) from None
        return epochs

    async def _write(self, epoch: Epoch) -> Epoch:
        await self._appender.append(self._place, [Record(_KEY, canonical(epoch))])
        return epoch

    @staticmethod
    def _next(last: Epoch | None) -> int:
        return max(time.time_ns() // 1_000_000, last.number + 1 if last is not None else 0)

    def _is_of(self, epoch: Epoch) -> bool:
        return all(epoch.topics.get(name, one) == one for name, one in self._ids.items())
