"""What counts as reached: at once what the writer told, after a while what a reader saw."""

import asyncio

import pytest

from agent_orchestration.pipeline import progress as module
from agent_orchestration.pipeline.progress import Progress


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> Progress:
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0.05)
    return Progress()


async def test_what_a_reader_saw_counts_after_a_while(progress: Progress) -> None:
    began = asyncio.get_running_loop().time()
    progress.seen("acme", 7)
    assert progress.seq("acme") == 0
    assert await progress.reached("acme", 7, 5)
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert not await progress.reached("acme", 8, 0)


async def test_what_the_writer_told_counts_at_once_and_stays(progress: Progress) -> None:
    progress.seen("acme", 6)
    progress.advance("acme", 7)
    assert progress.seq("acme") == 7
    assert not await progress.reached("acme", 8, 0.1)
    assert progress.seq("acme") == 7


async def test_what_was_seen_of_an_earlier_graph_does_not_count(progress: Progress) -> None:
    progress.seen("acme", 7)
    progress.reset()
    assert not await progress.reached("acme", 7, 0.1)
