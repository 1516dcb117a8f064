"""A process killed in the middle of appending loses nothing that it had acknowledged."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from agent_orchestration.app import wall_clock
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import Record

EVENTS = Topic("events", "the truth", 2, None)

APPENDER = """
import asyncio, pathlib, sys
from agent_orchestration.app import wall_clock
from agent_orchestration.backends.log import Topic
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import Record

async def main():
    log = SqliteLog(pathlib.Path(sys.argv[1]), [Topic("events", "the truth", 2, None)], wall_clock)
    await log.start()
    number = 0
    while True:
        batch = [Record(b"tenant", str(number + i).encode()) for i in range(1 + number % 5)]
        for stamp in await log.append("events", 0, batch):
            print(stamp.offset, stamp.timestamp, flush=True)
        number += len(batch)

asyncio.run(main())
"""


async def killed_after(path: Path, acknowledged: int) -> list[tuple[int, ...]]:
    """What an appending process told before it was killed: (offset, timestamp) of each record."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", APPENDER, str(path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert child.stdout is not None
    lines = [await child.stdout.readline() for _ in range(acknowledged)]
    child.kill()
    lines += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    return [tuple(map(int, line.split())) for line in lines if line.endswith(b"\n")]


@pytest.mark.process
@pytest.mark.parametrize("acknowledged", [1, 500, 5000])
async def test_a_killed_process_loses_nothing_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    told = await killed_after(tmp_path / "log.db", acknowledged)
    assert len(told) >= acknowledged
    log = SqliteLog(tmp_path / "log.db", [EVENTS], wall_clock)
    await log.start()
    try:
        found = await log.read("events", 0, 0, 10 * len(told))
        assert [(r.offset, r.timestamp) for r in found][: len(told)] == told
        assert [r.value for r in found] == [str(n).encode() for n in range(len(found))]
        [stamp] = await log.append("events", 0, [Record(b"tenant", b"next")])
        assert stamp.offset == len(found)
    finally:
        await log.stop()
