"""A claimed task as the handler that carries it out sees it."""

import asyncio
import base64
import hashlib
import mimetypes
import traceback
from collections.abc import Coroutine, Mapping
from typing import Any, Literal

from agent_orchestration.core.errors import NotFound, PlatformError, Rejected
from agent_orchestration.core.types import json_text, json_value
from agent_orchestration.workers.calls import PatientCalls

#: `cancel`: somebody cancelled the task; `fenced`: the attempt is over and may be another's;
#: `stopped`: this worker gives the task back.
Verdict = Literal["continue", "cancel", "fenced", "stopped"]
Lost = Literal["cancel", "fenced"]
#: What became of a task; the last two mean that the platform did not want to hear of it.
Outcome = Literal["completed", "failed"] | Lost

PROGRESS_SECONDS = 0.5
SLOWEST_PROGRESS_SECONDS = 4.0
PROGRESS_LENGTH = 1_000_000
ERROR_LENGTH = 8000
_LOST = frozenset({"fenced", "wrong_status", "not_started"})


class TaskError(Exception):
    """Raised by a handler: the attempt failed.

    `error_type` is what the task's retry policy goes by; `retryable` False ends the task whatever
    the policy says; `retry_after_seconds` replaces the policy's delay.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str = "error",
        retryable: bool = True,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


class HeldTask:
    """A task that this process holds under one attempt.

    `payload` is what is to be done and `previous_progress` the last that an earlier attempt said,
    both complete, however large. `view` is everything the claim answered of the task. `cancelled`
    is set when the attempt is over for another reason than the handler's end; the handler is
    cancelled then, too, and `verdict` says why.
    """

    def __init__(
        self, calls: PatientCalls, agent_id: str, claim: Mapping[str, Any], lease: float | None
    ) -> None:
        self.view: dict[str, Any] = claim["task"]
        self.id: str = self.view["id"]
        self.title: str = self.view["title"]
        self.attempt: int = claim["attempt"]
        self.agent_id = agent_id
        self.payload: Any = self.view.get("payload")
        self.previous_progress: Any = self.view.get("progress")
        self.lease_seconds = float(lease or self.view["lease_seconds"])
        self.cancelled = asyncio.Event()
        self.verdict: Verdict = "continue"
        #: Of the call that made it: what is said of the task belongs to that.
        self.correlation: str | None = self.view.get("correlation")
        self._calls = calls.about(self.correlation)
        self._lost: Lost | None = None
        self._work: asyncio.Task[Any] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._ended = False
        self._pending: Any = None
        self._has_pending = asyncio.Event()
        self._sending = asyncio.Lock()
        self._reports = 0

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The ids of the tasks that this one waited for."""
        return tuple(one["task_id"] for one in self.view.get("depends_on") or ())

    async def dependency_result(self, task_id: str) -> Any:
        """The result of a dependency; None where it has none."""
        answer = await self._calls("get_task", task_id=task_id)
        return await self._calls.whole(answer["task"].get("result"))

    async def progress(self, value: Any) -> None:
        """Say how far the work is: any JSON, which a later attempt can read.

        Returns at once. What follows within half a second (later: four) replaces it, and so does
        the result; a failure is preceded by the last progress. Raises `Rejected` for a value that
        is no JSON, or too large.
        """
        text = json_text(value, "progress")
        if text is None or len(text) > PROGRESS_LENGTH:
            problem = f"send JSON of at most {PROGRESS_LENGTH} characters, and not null"
            raise Rejected("invalid_argument", f"progress: {problem}", field="progress")
        self._pending = json_value(text)  # a copy: the caller may go on changing its own
        self._has_pending.set()
        if self._reporting is None and not self._ended:
            self._reporting = asyncio.create_task(self._report())
            self._reporting.add_done_callback(self._reported)

    async def artifact(self, name: str, data: Any, media_type: str | None = None) -> None:
        """Keep something that the task produced, besides its result: bytes, text, or any JSON.

        `name` may be a path such as `plots/one.png`; the media type follows from it unless given.
        What was kept stays as it is: in the same attempt other data needs another name. Raises
        `Rejected` for that, for names that lead elsewhere, and for data beyond 10 MB, which bytes
        reach at 7.5.
        """
        content, usual = _content(data)
        guessed, encoding = mimetypes.guess_type(name)
        known = guessed if encoding is None else None
        said = json_text([name, content, media_type], "data") or ""
        await self._say(
            "add_artifact",
            hashlib.sha256(said.encode()).hexdigest()[:32],
            name=name,
            media_type=media_type or known or usual,
            **content,
        )

    async def load(self) -> None:
        """Fetch what was too large to come with the claim."""
        self.payload = await self._calls.whole(self.payload)
        self.previous_progress = await self._calls.whole(self.previous_progress)

    def end(self, verdict: Verdict) -> None:
        """The attempt is over before its handler is; the first reason counts."""
        if not self.cancelled.is_set():
            self.verdict = verdict
            self._lost = verdict if verdict in ("cancel", "fenced") else None
            self.cancelled.set()
            if self._work is not None:
                self._work.cancel()

    async def carried_out(
        self, work: Coroutine[Any, Any, Any]
    ) -> tuple[asyncio.Task[Any], BaseException | None]:
        """How the handler's work ended, and what its last report of progress raised.

        It is cancelled when the attempt is over before, or when its progress cannot be reported.
        """
        self._work = asyncio.create_task(work)
        try:
            await asyncio.wait((self._work,))
        finally:
            self._ended = True
            tasks = [one for one in (self._work, self._reporting) if one is not None]
            for one in tasks:
                one.cancel()
            await asyncio.wait(tasks)
        return self._work, None if self._reporting is None else raised(self._reporting)

    def _reported(self, reporting: asyncio.Task[None]) -> None:
        if self._work is not None and raised(reporting) is not None:
            self._work.cancel()

    async def _report(self) -> None:
        """Send the progress in batches until cancelled or until the attempt is over."""
        pause = PROGRESS_SECONDS
        while not self.cancelled.is_set():
            await self._has_pending.wait()
            await asyncio.sleep(pause)
            await self.flush()
            pause = min(pause * 2, SLOWEST_PROGRESS_SECONDS)

    async def flush(self) -> None:
        """Send the progress that has not been sent, after what is on its way."""
        async with self._sending:
            if self._has_pending.is_set():
                self._has_pending.clear()
                self._reports += 1
                number = str(self._reports)
                await self._say("report_progress", number, progress=self._pending, brief=True)

    async def complete(self, result: Any) -> Outcome:
        """The task is done, with this result; a result that is refused fails it."""
        try:
            # Without a key, which would be looked up: to complete a task again changes nothing.
            completed = self._say("complete_task", None, result=result, brief=True)
            return await completed or "completed"
        except Rejected as error:
            refused = f"the result cannot be stored: {error.reason}"
            return await self.fail(TaskError(refused, error_type=error.code, retryable=False))

    async def fail(self, error: TaskError) -> Outcome:
        """The attempt failed; what was last said of its progress goes first."""
        await self.flush()
        lost = await self._say(
            "fail_task",
            error=printable(error.message, lines=True)[:ERROR_LENGTH],
            error_type=printable(error.error_type)[:256] or "error",
            retryable=error.retryable,
            retry_after_seconds=error.retry_after_seconds,
            brief=True,
        )
        return lost or "failed"

    async def _say(self, tool: str, number: str | None = "", **arguments: Any) -> Lost | None:
        """Report, under a key unless `number` is None; the verdict instead, where the attempt is
        over or turns out to be."""
        if self._lost is not None:
            return self._lost
        if number is not None:
            key = ":".join(filter(None, (self.id, str(self.attempt), tool, number)))
            arguments["idempotency_key"] = key
        try:
            await self._calls(
                tool,
                task_id=self.id,
                agent_id=self.agent_id,
                attempt=self.attempt,
                **arguments,
            )
        except (Rejected, NotFound) as error:
            if isinstance(error, Rejected) and error.code not in _LOST:
                raise
            cancelled = error.details.get("status") == "cancelled"
            self._lost = "cancel" if cancelled else "fenced"
            self.end(self._lost)
            return self._lost
        # Accepted, whatever a heartbeat was told meanwhile, for which the attempt was over already.
        return None


def _content(data: Any) -> tuple[dict[str, str], str | None]:
    """An artifact's content as arguments of its tool, and the media type where it is not the
    tool's own default."""
    if isinstance(data, bytes):
        encoded = base64.b64encode(data).decode()
        return {"content": encoded, "encoding": "base64"}, None
    if isinstance(data, str):
        return {"content": data}, None
    return {"content": json_text(data, "data") or "null"}, "application/json"


def raised(task: asyncio.Task[Any]) -> BaseException | None:
    """What an ended task of the event loop raised, other than that it was cancelled."""
    return None if task.cancelled() else task.exception()


def task_error(error: BaseException) -> TaskError:
    """What a handler raised, as a failure of its task."""
    if isinstance(error, TaskError):
        return error
    if isinstance(error, PlatformError):
        return TaskError(
            error.reason,
            error_type=error.code,
            retryable=error.retryable,
            retry_after_seconds=error.details.get("retry_after"),
        )
    if isinstance(error, asyncio.CancelledError):
        return TaskError("the handler was cancelled", error_type="cancelled")
    text = "".join(traceback.format_exception_only(error)).strip()
    return TaskError(text, error_type=type(error).__name__)


def printable(text: str, *, lines: bool = False) -> str:
    """The text without what the platform refuses: control characters and lone surrogates."""
    kept = "\t\n" if lines else ""
    cleaned = "".join(c for c in text if (c >= " " and c != "\x7f") or c in kept)
    return cleaned.encode("utf-8", "replace").decode()
