"""Logging: JSON lines for machines, short lines where a person reads standard error."""

import copy
import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

LOGGER = "agent_orchestration"
_RENAMED = {
    "levelname": "level",
    "name": "logger",
    "funcName": "function",
    "lineno": "line",
    "exc_info": "exception",
}
#: aiokafka says every failed attempt; what does not pass is raised, and said where it is handled.
#: Only its members of groups have nobody to raise to.
_THRESHOLDS = {"aiokafka": "CRITICAL", "aiokafka.consumer": "WARNING"}
#: How long the same complaint is kept back, and how many different ones are remembered.
REPEATED_SECONDS = 30.0
MOST_REPEATED = 1000
_FIELDS = ("levelname", "name", "message", "module", "funcName", "lineno")


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
        """Write it, unless it repeats what was just said."""
        shown = self._repeated.shown(record)
        if shown is not None:
            super().emit(shown)


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error): ours from `level` on, other libraries from WARNING on.

    A line is a JSON object {timestamp, level, logger, message, module, function, line}, with
    request_id and agent_id where the record carries them and exception where one was raised. On a
    terminal it is plain text. Of complaints that repeat one comes now and then. Calling it again
    replaces what it did before.
    """
    target = stream or sys.stderr
    handler = _Handler(target)
    handler.setFormatter(_plain() if target.isatty() else _json())
    for name, threshold in _THRESHOLDS.items():
        logging.getLogger(name).setLevel(threshold)
    for name, threshold in ((LOGGER, level), (None, "WARNING")):
        logger = logging.getLogger(name)
        for old in [known for known in logger.handlers if isinstance(known, _Handler)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.setLevel(threshold)
    logging.getLogger(LOGGER).propagate = False


def _json() -> logging.Formatter:
    return JsonFormatter(list(_FIELDS), rename_fields=_RENAMED, timestamp=True)


def _plain() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
