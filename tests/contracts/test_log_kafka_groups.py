"""Members of a group on Kafka: who owns what, and what becomes of those that fall silent."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.core.errors import Rejected, Unavailable
from tests.contracts.kafka_topics import KafkaTopics, own_topics
from tests.services import kafka

TOPICS = [Topic("commands", "every command", 4, None), Topic("events", "the truth", 4, None)]
NAMES = ["commands", "events"]
GROUP = "processors"
ALL = frozenset(range(4))
#: The shortest that Kafka allows by default.
SESSION_MS = 6000

MEMBER = """
import asyncio, sys
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.kafka import KafkaLog
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.errors import Unavailable

def say(*words):
    print(*words, flush=True)

async def main():
    topics = [Topic(name, "", 4, None) for name in ("commands", "events")]
    settings = Kafka.model_validate_json(sys.argv[1])
    log = KafkaLog(settings, topics, rules=7)
    await log.start()
    async def assigned(partitions):
        say("assigned", *sorted(partitions))
    async def revoked(partitions):
        say("revoked", *sorted(partitions))
    await log.join("processors", ["commands", "events"], assigned, revoked)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            await log.commit("processors", "commands", int(line), 5)
            say("committed")
        except Unavailable as error:
            say("refused", error.code)
    await log.stop()

asyncio.run(main())
"""


class Owner:
    """A member that remembers what it owns."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.owned: frozenset[int] = frozenset()
        self.told: list[tuple[str, frozenset[int]]] = []
        self._changed = asyncio.Condition()

    async def join(self) -> None:
        await self.log.join(GROUP, NAMES, self._assigned, self._revoked)

    async def _assigned(self, partitions: frozenset[int]) -> None:
        await self._tell("assigned", partitions, partitions)

    async def _revoked(self, partitions: frozenset[int]) -> None:
        assert partitions == self.owned
        await self._tell("revoked", partitions, frozenset())

    async def _tell(self, what: str, partitions: frozenset[int], owned: frozenset[int]) -> None:
        async with self._changed:
            self.owned = owned
            self.told.append((what, partitions))
            self._changed.notify_all()

    async def until(self, condition: Callable[[frozenset[int]], bool]) -> None:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: condition(self.owned))


NewOwner = Callable[..., Awaitable[Owner]]


@pytest.fixture
async def topics() -> AsyncIterator[KafkaTopics]:
    async with own_topics(kafka.bootstrap_servers(), session_timeout_ms=SESSION_MS) as topics:
        await topics.make(TOPICS)
        yield topics


@pytest.fixture
async def new_owner(topics: KafkaTopics) -> AsyncIterator[NewOwner]:
    """Makes processes that may become members."""
    async with AsyncExitStack() as stack:

        async def new(rules: int = 0) -> Owner:
            log = await topics.log(TOPICS, rules=rules)
            await log.start()
            stack.push_async_callback(log.stop)
            return Owner(log)

        yield new


class Child:
    """A member in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def commit(self, partition: int) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{partition}\n".encode())
        return await self.line()


@asynccontextmanager
async def child(topics: KafkaTopics) -> AsyncGenerator[Child]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEMBER, topics.settings.model_dump_json()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_two_members_share_and_each_partition_has_one_owner(new_owner: NewOwner) -> None:
    one, other = await new_owner(), await new_owner()
    await one.join()
    assert one.owned == ALL
    await other.join()
    await one.until(lambda owned: len(owned) == 2)
    assert len(other.owned) == 2
    assert one.owned | other.owned == ALL
    # What was owned before was given up before anything was assigned.
    assert one.told == [("assigned", ALL), ("revoked", ALL), ("assigned", one.owned)]


async def test_who_stays_takes_over_from_who_leaves(new_owner: NewOwner) -> None:
    one, other = await new_owner(), await new_owner()
    await one.join()
    await other.join()
    owned = other.owned
    await other.log.leave(GROUP)
    assert other.told[-1] == ("revoked", owned)
    await one.until(lambda owned: owned == ALL)
    await other.join()
    await one.until(lambda owned: len(owned) == 2)


async def test_more_members_than_partitions_wait_with_none(new_owner: NewOwner) -> None:
    members = [await new_owner() for _ in range(5)]
    await asyncio.gather(*(member.join() for member in members))
    for member in members:
        await member.until(lambda owned: len(owned) <= 1)
    assert sorted(len(member.owned) for member in members) == [0, 1, 1, 1, 1]


async def test_a_member_commits_for_its_own_partitions_only(new_owner: NewOwner) -> None:
    one, other = await new_owner(), await new_owner()
    await one.join()
    await other.join()
    await one.until(lambda owned: len(owned) == 2)
    [mine, *_], [theirs, *_] = one.owned, other.owned
    await one.log.commit(GROUP, "commands", mine, 3)
    assert await other.log.committed(GROUP, "commands", mine) == (one.log.epoch, 3)
    with pytest.raises(Unavailable, match="the group has moved on"):
        await one.log.commit(GROUP, "commands", theirs, 3)


async def test_positions_stay_when_all_members_leave(new_owner: NewOwner) -> None:
    one, other = await new_owner(), await new_owner()
    await one.join()
    await one.log.commit(GROUP, "commands", 2, 17)
    await one.log.leave(GROUP)
    assert await other.log.committed(GROUP, "commands", 2) == (one.log.epoch, 17)


async def test_joining_twice_is_refused(new_owner: NewOwner) -> None:
    owner = await new_owner()
    await owner.join()
    with pytest.raises(Rejected, match="joined already"):
        await owner.join()


async def test_a_member_that_cannot_do_its_work_leaves_it_to_others(new_owner: NewOwner) -> None:
    broken, owner = await new_owner(), await new_owner()
    gone = asyncio.Event()

    async def assigned(partitions: frozenset[int]) -> None:
        raise RuntimeError("cannot work")

    async def revoked(partitions: frozenset[int]) -> None:
        gone.set()

    await broken.log.join(GROUP, NAMES, assigned, revoked)
    await asyncio.wait_for(gone.wait(), 60)
    await owner.join()
    await owner.until(lambda owned: owned == ALL)


async def test_the_rules_of_all_members_are_known(new_owner: NewOwner) -> None:
    low, high = await new_owner(rules=3), await new_owner(rules=12)
    assert list(await low.log.member_rules(GROUP)) == []
    await high.join()
    assert list(await high.log.member_rules(GROUP)) == [12]
    await low.join()
    await high.until(lambda owned: len(owned) == 2)
    assert sorted(await high.log.member_rules(GROUP)) == [3, 12]
    await low.log.leave(GROUP)
    await high.until(lambda owned: owned == ALL)
    assert list(await high.log.member_rules(GROUP)) == [12]


@pytest.mark.process
async def test_a_killed_member_is_replaced_after_its_session(
    topics: KafkaTopics, new_owner: NewOwner
) -> None:
    async with child(topics) as member:
        assert await member.line() == "assigned 0 1 2 3"
        member.process.kill()
        await member.process.wait()
        owner = await new_owner()
        await owner.join()
        await owner.until(lambda owned: owned == ALL)


@pytest.mark.process
async def test_a_member_that_slept_through_its_session_is_refused_and_comes_back(
    topics: KafkaTopics, new_owner: NewOwner
) -> None:
    async with child(topics) as zombie:
        assert await zombie.line() == "assigned 0 1 2 3"
        assert await zombie.commit(0) == "committed"
        zombie.process.send_signal(signal.SIGSTOP)
        owner = await new_owner()
        await owner.join()
        await owner.until(lambda owned: owned == ALL)
        await owner.log.commit(GROUP, "commands", 0, 9)
        assert zombie.process.stdin is not None
        zombie.process.stdin.write(b"0\n")  # read before it learns how long it slept
        zombie.process.send_signal(signal.SIGCONT)
        said = [await zombie.line()]
        while not said[-1].startswith("assigned"):
            said.append(await zombie.line())
        assert "refused not_owner" in said
        assert "revoked 0 1 2 3" in said
        await owner.until(lambda owned: len(owned) == 2)
        assert await owner.log.committed(GROUP, "commands", 0) == (owner.log.epoch, 9)
