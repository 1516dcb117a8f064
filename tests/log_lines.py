"""What is logged meanwhile, as the JSON lines that a process would write."""

import io
import json
import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from agent_orchestration.logs import LOGGER, configure_logging


class LogLines:
    """What was written so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        """As it was written."""
        return self.stream.getvalue()

    def all(self, **fields: object) -> list[dict[str, Any]]:
        """The lines that have these fields."""
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if fields.items() <= line.items()]


@contextmanager
def log_lines(level: str = "INFO", secrets: Iterable[str] = ()) -> Generator[LogLines]:
    """Log there; afterwards logging is as it was before."""
    known = [logging.getLogger(name) for name in (LOGGER, None)]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in known]
    lines = LogLines()
    configure_logging(level, lines.stream, secrets)
    try:
        yield lines
    finally:
        for logger, handlers, was, propagate in before:
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(was)
