"""Logging: JSON lines for machines, short lines where a person reads standard error."""

import logging
import sys
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
_FIELDS = ("levelname", "name", "message", "module", "funcName", "lineno")


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second configuration can tell it from others' handlers."""


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error): ours from `level` on, other libraries from WARNING on.

    A line is a JSON object {timestamp, level, logger, message, module, function, line}, with
    request_id and agent_id where the record carries them and exception where one was raised. On a
    terminal it is plain text. Calling it again replaces what it did before.
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
