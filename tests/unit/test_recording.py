"""What models and tools answered, recorded and used again."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.backends.llm import ToolCall
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import (
    Forbidden,
    NotFound,
    PlatformError,
    Rejected,
    Unavailable,
)
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.held import HeldTask
from agent_orchestration.workers.llm_settings import Limits, LlmSettings
from agent_orchestration.workers.prices import PriceList
from agent_orchestration.workers.recording import RecordedAnswers, ReplayedAnswers
from agent_orchestration.workers.recording_file import Entry, Writer
from agent_orchestration.workers.redaction import MARK, Redaction
from tests.unit.platform_double import DoubleTask
from tests.unit.scripted_model import Step
from tests.unit.test_llm_agent import SCHEMA, Desk, add, added, call
from tests.unit.test_paying import refused_attempt
from tests.unit.test_worker import until

Made = Callable[..., Desk]
PLAIN = Redaction()
NEVER = Rejected("asked", "a model was asked in a replay")


def recorded(folder: Path, *steps: Step, redaction: Redaction = PLAIN, **more: Any) -> Desk:
    return Desk(*steps, recordings=RecordedAnswers(folder, redaction), **more)


def replayed(folder: Path, redaction: Redaction = PLAIN, **more: Any) -> Desk:
    """Of a model that must not be asked; nothing may cost anything either."""
    recordings = ReplayedAnswers(folder, redaction)
    nothing_known = PriceList(version="1", models={})
    return Desk(NEVER, recordings=recordings, prices=nothing_known, **more)


def repeated(folder: Path, **more: Any) -> Desk:
    """Of a model that must not be asked because its answers are recorded."""
    return recorded(folder, NEVER, **more)


def recording_in(folder: Path) -> Path:
    [file] = folder.glob("*.jsonl")
    return file


def outcome(task: DoubleTask) -> tuple[Any, ...]:
    """What became of a task, and all that was said."""
    failed = task.error if task.status == "failed" else None
    return task.status, task.result, failed, task.progress


async def test_a_replay_asks_no_model_and_no_tool_and_pays_nothing(tmp_path: Path) -> None:
    steps: list[Step] = [[call(), call("add", '{"one": 5}', 2)], call("fly"), "2 and 6"]
    original = await recorded(tmp_path, *steps).attempt()
    assert added == [(1, 1), (5, 1)]
    desk = replayed(tmp_path)
    assert outcome(await desk.attempt()) == outcome(original)
    assert original.result == "2 and 6"
    assert (desk.model.asked, added, desk.platform.spends) == ([], [], {})


async def test_a_later_attempt_asks_nothing_that_was_recorded_and_pays_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends between writing an answer down and using it, at every answer."""
    keep = Writer.add

    def dies_afterwards(writer: Writer, entry: Entry) -> None:
        keep(writer, entry)
        raise Unavailable("died", "the worker is gone")

    monkeypatch.setattr(Writer, "add", dies_afterwards)
    desk = recorded(tmp_path, call(), "It is 2.")
    for _ in range(3):
        assert (await desk.attempt()).status == "blocked"
    assert (await desk.attempt()).result == "It is 2."
    assert (len(desk.model.asked), added) == (2, [(1, 1)])
    # Ten tokens of the prompt and five of the answer, twice.
    assert list(desk.platform.spends.values()) == [("settled", 35), ("settled", 35)]
    assert desk.platform.calls["reserve_spend"] == 2


async def test_a_recorded_answer_is_heard_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(tmp_path, "It is 2.").attempt()
    desk, settled = repeated(tmp_path), asyncio.Event()

    async def settles_late(**_spend: Any) -> dict[str, Any]:
        await settled.wait()
        return {}

    monkeypatch.setattr(desk.platform, "_settle_spend", settles_late)
    attempt = asyncio.create_task(desk.attempt())
    await until(lambda: desk.task.progress is not None)
    assert desk.task.progress["partial"] == "It is 2."
    settled.set()
    assert (await attempt).result == "It is 2."


@pytest.mark.parametrize(
    "refused", [NotFound("unknown_spend", "no"), Forbidden("not_your_agent", "no")]
)
async def test_an_answer_from_elsewhere_is_used_though_its_spend_is_not_known_here(
    tmp_path: Path, refused: PlatformError, caplog: pytest.LogCaptureFixture
) -> None:
    await recorded(tmp_path, "It is 2.").attempt()
    desk = repeated(tmp_path)
    desk.platform.before = lambda tool, _number: refused if tool == "settle_spend" else None
    assert (await desk.attempt()).result == "It is 2."
    assert "not settled" in caplog.text


async def test_what_was_not_recorded_ends_a_replay(tmp_path: Path) -> None:
    await recorded(tmp_path, call(), "It is 2.").attempt()

    def subtract(one: int) -> int:
        return one

    other: list[tuple[str, dict[str, Any]]] = [
        ("messages[0]", {"settings": LlmSettings(instructions="Be quick.")}),
        ("messages[1]", {"payload": {"one": 2}}),
        ("model", {"settings": LlmSettings(model="other")}),
        ("max_tokens", {"settings": LlmSettings(limits=Limits(answer_tokens=9))}),
        ("tools[1]", {"functions": (add, subtract)}),
    ]
    for named, changed in other:
        said = await replayed(tmp_path, **changed).ends_with("not_recorded")
        assert said.startswith("call 1 of the model is not recorded: "), said
        assert f"{named} is not what it was then" in said
    (tmp_path / "other").mkdir()
    said = await replayed(tmp_path / "other").ends_with("not_recorded")
    assert "the recording of this task has 0 other answers; record the task again" in said


async def test_a_tools_call_that_was_not_recorded_ends_a_replay(tmp_path: Path) -> None:
    await recorded(tmp_path, call(), "It is 2.").attempt()
    file = recording_in(tmp_path)
    [model, _tool, last] = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(model + last)
    said = await replayed(tmp_path).ends_with("not_recorded")
    assert said.startswith("tool call call-1 after call 1 of the model is not recorded")
    assert added == []


async def test_a_damaged_recording_ends_the_task(tmp_path: Path) -> None:
    await recorded(tmp_path, call(), "It is 2.").attempt()
    file = recording_in(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"scripted", b"scriptex", 1))
    for desk in (repeated(tmp_path), replayed(tmp_path)):
        said = await desk.ends_with("recording_damaged")
        assert f"{file}, line 1: its checksum does not fit" in said


async def test_a_recording_has_one_writer_at_a_time(tmp_path: Path) -> None:
    other = recorded(tmp_path, "second")
    claim = {"task": {"id": "t", "title": "Add", "lease_seconds": 60}, "attempt": 1}
    task = HeldTask(PatientCalls(other.platform, Caller()), "bob", claim, None)
    with RecordedAnswers(tmp_path, PLAIN).of(task):
        error = await refused_attempt(other)
    assert (error["error_type"], error["retryable"]) == ("worker_stopped", True)
    assert "is written to by somebody else" in error["error"]
    assert other.model.asked == []
    assert (await other.attempt()).result == "second"


async def test_what_must_not_be_written_is_redacted(tmp_path: Path) -> None:
    """The replay has other secrets: what they are makes no difference."""
    key = 'sk-"quoted"\\key'

    def add(one: str) -> str:
        return f"{one} and ann@example.org, pin 12345678, {key}"

    # Their ids look like what is to be redacted, but have to stay two.
    ids = ("call-11111111", "call-22222222")
    asked = [ToolCall(one, "add", '{"one": "pin 12345678"}') for one in ids]
    steps: list[Step] = [asked, f"For {key}: pin 12345678."]
    patterns = [r"\d{8}", r"(?i)[a-z]+@EXAMPLE\.org"]
    redaction = Redaction(patterns, [key])
    given = {"pin": "12345678", "key": key}
    desk = recorded(tmp_path, *steps, redaction=redaction, functions=(add,), payload=given)
    task = await desk.attempt()
    assert task.result == f"For {key}: pin 12345678."
    file = recording_in(tmp_path)
    for secret in ("12345678", "ann@", "quoted"):
        assert secret not in file.read_text("utf-8")
    assert all(one in file.read_text("utf-8") for one in ids)
    given = {"pin": "98765432", "key": "another"}
    again = replayed(tmp_path, Redaction(patterns, ["another"]), functions=(add,), payload=given)
    assert (await again.attempt()).result == f"For {MARK}: pin {MARK}."


ARGUMENTS = st.sampled_from(['{"one": 1}', '{"one": 2, "other": 3}', "{}", "no JSON", "[1]"])
CALLS = st.builds(call, st.sampled_from(["add", "fly"]), ARGUMENTS, st.integers(1, 3))
STEPS = st.one_of(
    st.sampled_from(["three", '{"sum": 3}', "5"]),
    st.lists(CALLS, min_size=1, max_size=3, unique_by=lambda one: one.id),
    st.just(Unavailable("model_unavailable", "it is down")),
)


@given(
    steps=st.lists(STEPS, max_size=6),
    last=st.sampled_from(["the end", '{"sum": 7}']),
    schema=st.sampled_from([None, SCHEMA]),
    limits=st.sampled_from([Limits(), Limits(turns=3), Limits(tokens=50), Limits(repairs=0)]),
    made=st.sampled_from([replayed, repeated]),
)
async def test_every_recorded_talk_is_replayed_as_it_was(
    steps: Sequence[Step], last: str, schema: Any, limits: Limits, made: Made
) -> None:
    settings = LlmSettings(result_schema=schema, limits=limits)
    with TemporaryDirectory() as folder:
        desk = recorded(Path(folder), *steps, last, settings=settings)
        original = await desk.attempt()
        while original.status == "blocked":
            await desk.attempt()
        desk = made(Path(folder), settings=settings)
        assert outcome(await desk.attempt()) == outcome(original)
        assert (desk.model.asked, added) == ([], [])
