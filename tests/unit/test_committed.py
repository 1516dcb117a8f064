"""When a partition's position is committed."""

import asyncio
from typing import Any, cast

import pytest

from agent_orchestration.core.errors import Unavailable
from agent_orchestration.pipeline.committed import CommittedPosition


class Commits:
    """What was committed; commits may be refused."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.refuses = False

    async def commit(self, *where: Any) -> None:
        if self.refuses:
            raise Unavailable("log_unavailable", "not now")
        self.offsets.append(where[-1])


def position(log: Commits) -> CommittedPosition:
    return CommittedPosition(cast("Any", log), 0)


async def others_go_on() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_one_at_once_the_others_seldom_and_the_last_one_at_the_end() -> None:
    log = Commits()
    committed = position(log)
    committed.reached(1)
    await others_go_on()
    assert log.offsets == [1]
    for offset in (2, 3, 4):
        committed.reached(offset)
        await others_go_on()
    assert log.offsets == [1]
    await committed.end()
    assert log.offsets == [1, 4]
    await committed.end()
    assert log.offsets == [1, 4]


async def test_what_is_refused_is_told_at_the_next_one_and_not_at_the_end() -> None:
    log = Commits()
    committed = position(log)
    log.refuses = True
    committed.reached(1)
    await others_go_on()
    with pytest.raises(Unavailable, match="not now"):
        committed.reached(2)
    await committed.end()
    assert log.offsets == []
