"""How a failure looks on the command line: one clear line, an exit code, never a traceback."""

import json
import logging
import sys
from collections.abc import Mapping

from typer.exceptions import TyperException

from agent_orchestration.cli.text import plain
from agent_orchestration.core.errors import PlatformError

INTERRUPTED = 130
PIPE_CLOSED = 1
TERMINATED = 143

logger = logging.getLogger(__name__)


def report(error: Exception, *, as_json: bool) -> int:
    """Say on standard error what is wrong and what to do; the exit code."""
    code, lines, data = _explained(error)
    if as_json and data:
        print(json.dumps(data, default=str), file=sys.stderr)
    else:
        for line in lines:
            print(f"error: {plain(line)}", file=sys.stderr)
    return code


def _explained(error: Exception) -> tuple[int, list[str], Mapping[str, object]]:
    if isinstance(error, PlatformError):
        problems = error.details.get("problems")
        texts = [text for text in problems or () if isinstance(text, str)]
        return error.exit_code, texts or [error.reason], error.to_dict()
    if isinstance(error, TyperException):
        text = " ".join(error.format_message().split())
        if not text:  # a noun without a verb: its help was shown
            return error.exit_code, [], {}
        context = getattr(error, "ctx", None)
        way = f" (see {context.command_path} --help)" if context is not None else ""
        said = {"error": "usage", "code": "usage", "reason": text}
        return error.exit_code, [text.rstrip(".") + way], said
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return 1, [text], {"error": "system", "code": "os_error", "reason": text}
    logger.debug("unexpected", exc_info=error)
    text = f"internal error: {type(error).__name__}: {error}; LOG_LEVEL=DEBUG shows where"
    return 1, [" ".join(text.split())], {"error": "internal", "code": "internal", "reason": text}
