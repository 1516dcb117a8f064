"""What the README lets a newcomer type answers as it is printed there."""

import functools
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.program import ROOT, run

pytestmark = pytest.mark.process
Verb = Callable[..., subprocess.CompletedProcess[str]]
PREFIX = ["uvx", "--from", ".", "agent-orchestration"]


def by_hand() -> tuple[list[list[str]], str]:
    """The commands of the section, from the first call on, and what the last of them prints."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## By hand\n")[2]
    blocks: list[str] = re.findall(r"```\w*\n(.*?)```", section, re.DOTALL)
    _dev, commands, printed, *_ = blocks
    lines = [shlex.split(line) for line in commands.splitlines()]
    assert all(line[:4] == PREFIX for line in lines)
    return [line[4:] for line in lines], printed


@pytest.fixture
def verb(tmp_path: Path) -> Verb:
    """Runs a verb on the backends under test."""
    return functools.partial(run, tmp_path)


def test_by_hand_ends_with_the_printed_answer(verb: Verb) -> None:
    commands, printed = by_hand()
    assert len(commands) == 5
    last = ""
    for words in commands:
        done = verb(*words)
        assert done.returncode == 0, done.stderr
        last = done.stdout
    assert last.split() == printed.split()
    explained = verb("call", "explain_task", "task_id=readme")
    assert "completed" in explained.stdout
