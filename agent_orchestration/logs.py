"""Logging: JSON lines for machines, short lines where a person reads standard error.

What a line is about, such as the call or the command that is handled, is said once, where handling
begins (`LogFields`); every line that is logged meanwhile carries it.
"""

import copy
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, Token
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from agent_orchestration.tracing import trace_ids

if TYPE_CHECKING:
    from agent_orchestration.core.dispatch import Caller
    from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope

LOGGER = "agent_orchestration"
_RENAMED = {
    "levelname": "level",
    "name": "logger",
    "funcName": "function",
    "lineno": "line",
    "exc_info": "exception",
}
#: aiokafka says every failed attempt; what does not pass is raised, and said where it is handled.
#: Only its members of groups have nobody to raise to. The others say what they do, not what came of
#: it, whatever level is asked for.
_THRESHOLDS = {
    "aiokafka": "CRITICAL",
    "aiokafka.consumer": "WARNING",
    "faust": "WARNING",
    "mode": "WARNING",
    "neo4j": "WARNING",
}
#: How long the same complaint is kept back, and how many different ones are remembered.
REPEATED_SECONDS = 30.0
MOST_REPEATED = 1000
_FIELDS = ("levelname", "name", "message", "module", "funcName", "lineno")
REDACTED = "[redacted]"
SHORTEST_SECRET = 4
"""Characters: what is shorter stands in many a word, and nobody would know what is hidden."""

#: What lines carry inside of `LogFields`.
_carried: ContextVar[dict[str, object] | None] = ContextVar("log_fields", default=None)


class LogFields:
    """What is logged meanwhile, here and in tasks that begin meanwhile, carries these fields beside
    those that it would carry anyway. None leaves a field as it is."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._token: Token[dict[str, object] | None] | None = None

    def __enter__(self) -> None:
        said = {name: value for name, value in self._fields.items() if value is not None}
        self._token = _carried.set({**(_carried.get() or {}), **said})

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _carried.reset(self._token)


def carry(fields: Mapping[str, object]) -> None:
    """What is logged from now on carries these, too, until the block of `LogFields` at hand ends;
    outside of any, nothing does."""
    known = _carried.get()
    if known is not None:
        known.update(fields)


def caller_fields(caller: "Caller", request_id: str | None = None) -> LogFields:
    """Those of a call; `request_id` is what others, such as a proxy, know it by."""
    return LogFields(
        correlation=caller.correlation,
        tenant=caller.tenant,
        request_id=request_id,
        agent_id=caller.principal.agent_id,
        **trace_ids(caller.traceparent),
    )


def command_fields(envelope: "CommandEnvelope") -> LogFields:
    """Those of a command."""
    return LogFields(
        correlation=envelope.correlation,
        tenant=envelope.tenant,
        command_id=envelope.id,
        agent_id=envelope.principal.agent_id,
        **trace_ids(envelope.traceparent),
    )


def event_fields(envelope: "EventEnvelope") -> LogFields:
    """Those of an event: of the command that it came from."""
    return LogFields(
        correlation=envelope.correlation,
        tenant=envelope.tenant,
        command_id=envelope.command_id,
        **trace_ids(envelope.traceparent),
    )


class Repeated:
    """Lets the same complaint through once in a while, and then with how often it was made.

    An outage makes everybody try again, for as long as it takes; one line says it. Complaints are
    the same that come from one place in the code and are about the same partition, whatever else
    they say; `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: When the next one may come, and how many did not.
        self._seen: dict[tuple[str, str, object], tuple[float, int]] = {}

    def shown(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """What to write of it, if anything. What stops work (CRITICAL) always is."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL:
            return record
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        key = record.name, str(record.msg), first if isinstance(first, int) else None
        now = self._clock()
        until, kept_back = self._seen.get(key, (now, 0))
        if now < until:
            self._seen[key] = until, kept_back + 1
            return None
        if len(self._seen) >= MOST_REPEATED:
            self._seen.clear()
        self._seen[key] = now + REPEATED_SECONDS, 0
        if kept_back:
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} ({kept_back} times before)", ()
        return record


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second configuration can tell it from others' handlers."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._repeated = Repeated()

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, unless it repeats what was just said, with what is carried; what it says by
        itself, and the current span, are the nearer truth."""
        for name, value in {**(_carried.get() or {}), **trace_ids()}.items():
            record.__dict__.setdefault(name, value)
        shown = self._repeated.shown(record)
        if shown is not None:
            super().emit(shown)


class _Secrets:
    """Hides what the settings keep secret, wherever somebody else's error quotes it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longer first: a secret may be part of another.
        kept = {one for one in secrets if len(one) >= SHORTEST_SECRET}
        self._secrets = sorted(kept, key=lambda one: (-len(one), one))

    def hide(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text


class _Json(JsonFormatter):
    """A JSON object for each line."""

    def __init__(self, secrets: _Secrets) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            list(_FIELDS), rename_fields=_RENAMED, timestamp=True
        )
        self._secrets = secrets

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """See `JsonFormatter`."""
        return {name: self._shown(value) for name, value in log_data.items()}

    def _shown(self, value: object) -> object:
        plain = value is None or isinstance(value, int | float | datetime)
        return value if plain else self._secrets.hide(str(value))


class _Plain(logging.Formatter):
    """A short line for a person."""

    def __init__(self, secrets: _Secrets) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return self._secrets.hide(super().format(record))


def configure_logging(
    level: str = "INFO", stream: TextIO | None = None, secrets: Iterable[str] = ()
) -> None:
    """Log to `stream` (standard error): ours from `level` on, other libraries from WARNING on.

    A line is a JSON object {timestamp, level, logger, message, module, function, line}, with what
    its record and `LogFields` carry, and exception where one was raised. On a terminal it is plain
    text. `secrets` are hidden. Of complaints that repeat one comes now and then. Calling it again
    replaces what it did before.
    """
    target = stream or sys.stderr
    handler = _Handler(target)
    hidden = _Secrets(secrets)
    handler.setFormatter(_Plain(hidden) if target.isatty() else _Json(hidden))
    for name, threshold in _THRESHOLDS.items():
        logging.getLogger(name).setLevel(threshold)
    for name, threshold in ((LOGGER, level), (None, "WARNING")):
        logger = logging.getLogger(name)
        for old in [known for known in logger.handlers if isinstance(known, _Handler)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(threshold)
    logging.getLogger(LOGGER).propagate = False
