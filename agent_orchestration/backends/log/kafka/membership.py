"""Membership in a consumer group: who owns which partitions.

A consumer is used for this and nothing else. Its partitions are paused as soon as they are
assigned: records are read by position, elsewhere. It is polled in the background, and its
heartbeats run on the event loop that also does the work: a process whose loop stands still loses
its partitions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log import Assigned
from agent_orchestration.backends.log.kafka.errors import explained
from agent_orchestration.core.errors import PlatformError, Unavailable

logger = logging.getLogger(__name__)

#: How long a rebalance waits for the answer whether it is still the same log.
CHECK_SECONDS = 3.0
JOIN_SECONDS = 60.0
LEAVE_SECONDS = 5.0
REJOIN_SECONDS = 1.0
POLL_MS = 1000
#: Each attempt without a broker leaves a line in the log.
RETRY_MS = 500
#: A member that misses this many heartbeats is none any more.
HEARTBEATS_A_SESSION = 5
#: How long a topic that was deleted, made again or given partitions may go unnoticed.
METADATA_MS = 15_000
#: Polling proves nothing here, so missing polls must not end the membership.
NEVER_MS = 2**31 - 1


class Membership(ConsumerRebalanceListener):
    """One membership. `assigned` and `revoked` must not raise: a member that cannot do its work
    leaves, so that others do it. A member that was silent for `session_ms` counts as dead."""

    def __init__(
        self,
        options: Mapping[str, Any],
        group: str,
        topics: Sequence[str],
        told: tuple[Assigned, Assigned],
        session_ms: int,
    ) -> None:
        self._options = options
        self._group = group
        self._topics = topics
        self._assigned, self._revoked = told
        self._session_ms = session_ms
        self._owned: frozenset[int] | None = None
        #: Whose positions it may set: also those that it is just giving up.
        self._held: frozenset[int] = frozenset()
        self._first = asyncio.Event()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: An `AIOKafkaConsumer`, which declares no types.
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._leaving = False

    async def enter(self) -> None:
        """Join; returns after the first assignment. Raises `Unavailable`."""
        doing = f"joining group {self._group}"
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._join()
                await self._first.wait()
        except (KafkaError, TimeoutError) as error:
            await self.leave()
            cause = error if isinstance(error, KafkaError) else KafkaError("no assignment came")
            raise explained(cause, doing) from error
        except BaseException:
            await self.leave()
            raise
        self._task = asyncio.create_task(self._stay(), name=f"member of {self._group}")

    async def leave(self) -> None:
        """Give up all partitions, `revoked` first, and tell the group."""
        self._leaving = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._give_up()
        await self._close()

    async def commit(self, place: TopicPartition, offset: int, text: str) -> None:
        """Set a position of the group, as its member: Kafka refuses it to one that was replaced.
        Raises `Unavailable`."""
        doing = f"setting the position of group {self._group} in {place.topic}/{place.partition}"
        consumer = self._consumer
        try:
            if consumer is None or place.partition not in self._held:
                raise CommitFailedError("this process does not own the partition")
            async with asyncio.timeout(self._options["request_timeout_ms"] / 1000):
                await consumer.commit({place: (offset, text)})
        except (CommitFailedError, IllegalStateError) as error:
            raise Unavailable("not_owner", f"{doing}: the group has moved on: {error}") from error
        except KafkaError as error:
            raise explained(error, doing) from error
        except TimeoutError as error:
            raise explained(KafkaError("no answer in time"), doing) from error

    async def on_partitions_revoked(  # type: ignore[override] (may be a coroutine, says its text)
        self, revoked: set[TopicPartition]
    ) -> None:
        """The group is being divided anew: all partitions are given up, then asked for again."""
        del revoked
        await self._give_up()

    async def on_partitions_assigned(  # type: ignore[override]
        self, assigned: set[TopicPartition]
    ) -> None:
        """The partitions that are this member's from now on."""
        consumer = self._consumer
        if self._leaving or consumer is None:
            return
        for place in assigned:
            consumer.seek(place, 0)  # without any position the consumer would look for one
            consumer.pause(place)
        self._owned = frozenset(
            place.partition
            for place in assigned
            if all(TopicPartition(topic, place.partition) in assigned for topic in self._topics)
        )
        self._held = self._owned
        await self._tell(self._assigned, self._owned)
        self._first.set()

    async def _give_up(self) -> None:
        owned, self._owned = self._owned, None
        if owned is not None:
            try:
                await self._tell(self._revoked, owned)
            finally:
                self._held = frozenset()

    async def _tell(self, told: Assigned, partitions: frozenset[int]) -> None:
        try:
            await told(partitions)
        except Exception as error:
            # The client would only log it, and the partitions would be nobody's.
            logger.critical("a member of group %s cannot go on", self._group, exc_info=error)
            if not self._broken.done():
                self._broken.set_result(None)

    async def _join(self) -> Any:
        options = {
            **self._options,
            # A join is answered when all members have come, or their time is over.
            "request_timeout_ms": self._options["request_timeout_ms"] + self._session_ms,
        }
        consumer: Any = AIOKafkaConsumer(
            **options,
            group_id=self._group,
            auto_offset_reset="none",
            enable_auto_commit=False,
            partition_assignment_strategy=(RangePartitionAssignor,),
            max_poll_interval_ms=NEVER_MS,
            session_timeout_ms=self._session_ms,
            rebalance_timeout_ms=self._session_ms,
            retry_backoff_ms=RETRY_MS,
            heartbeat_interval_ms=self._session_ms // HEARTBEATS_A_SESSION,
            consumer_timeout_ms=POLL_MS,
            metadata_max_age_ms=METADATA_MS,
        )
        self._consumer = consumer
        consumer.subscribe(self._topics, listener=self)
        await consumer.start()
        return consumer

    async def _stay(self) -> None:
        """Be a member until cancelled; after an error join anew."""
        while not self._broken.done():
            try:
                await self._poll()
            except Exception as error:
                # Whatever it was: a membership that nobody looks after would be worse.
                logger.warning("group %s is joined anew: %r", self._group, error)
                await self._give_up()
                await self._close()
                await asyncio.sleep(REJOIN_SECONDS)
        await self._give_up()
        await self._close()

    async def _poll(self) -> None:
        consumer = self._consumer or await self._join()
        while not self._broken.done():
            await consumer.getmany(timeout_ms=POLL_MS)

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        closing = asyncio.create_task(consumer.stop(), name=f"leaving {self._group}")
        # Without a broker it takes longer, and nobody has to wait for that.
        await asyncio.wait({closing}, timeout=LEAVE_SECONDS)
        if not closing.done():
            logger.warning("group %s could not be told that a member leaves", self._group)
        elif (error := closing.exception()) is not None:
            logger.warning("leaving group %s: %r", self._group, error)


def only_after(check: Callable[[], Awaitable[None]], assigned: Assigned) -> Assigned:
    """Nothing is assigned where the `check` of the log fails: the group is divided anew when a
    topic is deleted, made again or given partitions, and then it is not the log any more that the
    member decides for."""

    async def told(partitions: frozenset[int]) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except (Unavailable, TimeoutError) as error:
            logger.info("the topics could not be looked at: %s", error)  # the work tells it too
        except PlatformError as error:
            logger.critical("no partition is worked on: %s", error.reason)
            partitions = frozenset()
        await assigned(partitions)

    return told
