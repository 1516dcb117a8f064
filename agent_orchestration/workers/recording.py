"""Recording what models and tools answered, and answering with it again.

An answer is on the disk before anybody uses it, so a worker that is killed asks for nothing again
that was recorded, and what was recorded can stand for models and tools altogether.
"""

import hashlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import filelock
import msgspec

from agent_orchestration.backends.llm import ChatAnswer
from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.domain.tasks.model import WORKER_STOPPED
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.recording_file import (
    Digests,
    Entry,
    ModelEntry,
    Question,
    ToolEntry,
    Writer,
    read,
)
from agent_orchestration.workers.redaction import Redaction
from agent_orchestration.workers.work_folder import file_name

E = TypeVar("E", ModelEntry, ToolEntry)
_DIGEST_LENGTH = 16
IN_USE_SECONDS = 10.0


class Recording(Protocol):
    """The recorded answers of a task."""

    def question(
        self, number: int, request: Mapping[str, Any], call_id: str | None = None
    ) -> Question:
        """What is asked of the model in its call with this number, from 1, or of a tool by that
        call's answer."""
        ...

    def find(self, kind: type[E], question: Question) -> E | None:
        """What was answered to this, None where it is to be asked. Raises `TaskError` with
        `not_recorded` where nothing may be asked."""
        ...

    def keep(self, entry: Entry) -> None:
        """This was answered. Raises `Unavailable` where it cannot be written."""
        ...


class Recordings(Protocol):
    """Where the recordings of tasks are."""

    def of(self, task: HeldTask) -> AbstractContextManager[Recording]:
        """That of a task, for as long as it is carried out.

        Raises `Corrupt` where it is damaged, `Unavailable` where it cannot be read or written.
        """
        ...


class NoRecordings:
    """Everything is asked, nothing kept."""

    def of(self, task: HeldTask) -> AbstractContextManager[Recording]:
        """See `Recordings`."""
        del task
        return nullcontext(_NoRecording())


class RecordedAnswers:
    """Keeps every answer in a file for each task in the folder, and uses those that are there.

    Raises `Rejected` where the folder cannot be made.
    """

    def __init__(self, folder: Path, redaction: Redaction) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{folder} is no folder: {error.strerror}; choose one that can be written to"
            raise Rejected("bad_folder", f"--record: {problem}", field="record") from error
        self._folder = folder
        self._redaction = redaction

    @contextmanager
    def of(self, task: HeldTask) -> Generator[Recording]:
        """See `Recordings`. While another process, or another attempt, has it the task is given
        back for a while, which uses up no attempt."""
        path = _path(self._folder, task)
        lock = filelock.FileLock(f"{path}.lock", thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            problem = f"{path} is written to by somebody else; let one worker record a task"
            raise TaskError(
                problem, error_type=WORKER_STOPPED, retry_after_seconds=IN_USE_SECONDS
            ) from None
        try:
            entries, size = read(path)
            writer = Writer(path, size)
            try:
                yield _Kept(entries, self._redaction, writer)
            finally:
                writer.close()
        finally:
            lock.release()


class ReplayedAnswers:
    """Answers from recordings in the folder only. Raises `Rejected` where there is no folder."""

    def __init__(self, folder: Path, redaction: Redaction) -> None:
        if not folder.is_dir():
            problem = f"there is no folder {folder}; name one that --record wrote"
            raise Rejected("bad_folder", f"--replay: {problem}", field="replay")
        self._folder = folder
        self._redaction = redaction

    def of(self, task: HeldTask) -> AbstractContextManager[Recording]:
        """See `Recordings`."""
        entries, _ = read(_path(self._folder, task))
        return nullcontext(_Replayed(entries, self._redaction))


class _NoRecording:
    def question(
        self, number: int, request: Mapping[str, Any], call_id: str | None = None
    ) -> Question:
        del request, call_id
        return Question(str(number), {})

    def find(self, kind: type[E], question: Question) -> E | None:
        del kind, question
        return None

    def keep(self, entry: Entry) -> None:
        del entry


class _Entries:
    """What is recorded, by its place in the conversation."""

    def __init__(self, entries: Iterable[Entry], redaction: Redaction) -> None:
        self._redaction = redaction
        self._at: dict[str, list[Entry]] = {}
        for entry in entries:
            self._at.setdefault(entry.question.place, []).append(entry)

    def question(
        self, number: int, request: Mapping[str, Any], call_id: str | None = None
    ) -> Question:
        """See `Recording`."""
        place = f"call {number} of the model"
        if call_id is not None:
            place = f"tool call {self._redaction.identifier(call_id)} after {place}"
        return Question(place, {name: self._digests(one) for name, one in request.items()})

    def find(self, kind: type[E], question: Question) -> E | None:
        """See `Recording`."""
        for entry in self._at.get(question.place, ()):
            if isinstance(entry, kind) and entry.question == question:
                return entry
        return None

    def _digests(self, value: Any) -> str | list[str]:
        plain: object = self._redaction.value(msgspec.to_builtins(value))
        if isinstance(plain, list):
            return [digest(one) for one in cast("list[Any]", plain)]
        return digest(plain)


class _Kept(_Entries):
    def __init__(self, entries: Iterable[Entry], redaction: Redaction, writer: Writer) -> None:
        super().__init__(entries, redaction)
        self._writer = writer

    def keep(self, entry: Entry) -> None:
        """See `Recording`."""
        if isinstance(entry, ToolEntry):
            answer = self._redaction.text(entry.answer)
        else:
            answer = self._redacted(entry.answer)
        self._writer.add(msgspec.structs.replace(entry, answer=answer))

    def _redacted(self, answer: ChatAnswer) -> ChatAnswer:
        plain = self._redaction.value(msgspec.to_builtins(answer))
        for call, made in zip(answer.tool_calls, plain["tool_calls"], strict=True):
            made["id"] = self._redaction.identifier(call.id)
            made["name"] = self._redaction.identifier(call.name)
        return msgspec.convert(plain, ChatAnswer)


class _Replayed(_Entries):
    def find(self, kind: type[E], question: Question) -> E:
        """See `Recording`."""
        found = super().find(kind, question)
        if found is None:
            problem = f"{question.place} is not recorded: {self._difference(question)}"
            raise TaskError(problem, error_type="not_recorded", retryable=False)
        if isinstance(found, ModelEntry):
            return msgspec.structs.replace(found, bill=None)
        return found

    def keep(self, entry: Entry) -> None:
        """Nothing is asked, so there is nothing to keep."""
        raise AssertionError(f"{entry.question.place} was not asked")

    def _difference(self, question: Question) -> str:
        there = self._at.get(question.place)
        if there is None:
            others = f"the recording of this task has {len(self._at)} other answers"
            return f"{others}; record the task again"
        what = _first_difference(there[-1].question.request, question.request)
        return f"{what} is not what it was then; undo what changed, or record the task again"


def _first_difference(then: Digests, now: Digests) -> str:
    """Which part of a request is another, such as `messages[2]`."""
    for name in sorted(then.keys() | now.keys()):
        one, other = then.get(name), now.get(name)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            pairs = enumerate(zip_longest(one, other))
            return next(f"{name}[{number}]" for number, (a, b) in pairs if a != b)
        return name
    return "the request"


def digest(value: Any) -> str:
    """Of a part of a request, such as a message."""
    return hashlib.sha256(canonical(value)).hexdigest()[:_DIGEST_LENGTH]


def _path(folder: Path, task: HeldTask) -> Path:
    return folder / f"{file_name(task.id)}.jsonl"
