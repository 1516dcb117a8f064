"""A line of the log for each call of a tool that comes in from outside."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError
from agent_orchestration.core.module import Registry
from agent_orchestration.core.types import is_id

logger = logging.getLogger(__name__)

_OFTEN = ("worker",)
"""The toolset of those tools that only workers call, again and again."""


async def logged_call(
    dispatcher: Dispatcher, tool: str, arguments: Mapping[str, Any], caller: Caller
) -> dict[str, Any]:
    """The tool's answer; one line says how the call ended. Nothing of what was asked and answered
    is in it."""
    began = time.perf_counter()
    outcome: dict[str, Any] = {"outcome": "failed"}
    try:
        answer = await dispatcher.call(tool, arguments, caller)
        outcome = {"outcome": "answered"}
        return answer
    except PlatformError as error:
        outcome = {"outcome": error.kind, "code": error.code}
        raise
    finally:
        level = _level(dispatcher.registry, tool)
        if level is not None and logger.isEnabledFor(level):
            outcome["duration_ms"] = round((time.perf_counter() - began) * 1000, 1)
            said = outcome.get("code", outcome["outcome"])
            extra = {"tool": tool, **outcome, **_named(arguments)}
            logger.log(level, "%s: %s", tool, said, extra=extra)


def _named(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The agent and the task that a call names, where these are ids: anything may stand there."""
    named = {name: arguments.get(name) for name in ("agent_id", "task_id")}
    return {name: one for name, one in named.items() if isinstance(one, str) and is_id(one)}


def _level(registry: Registry, name: str) -> int | None:
    """DEBUG for what changes nothing, and for what workers call thousands of times. A tool that
    there is not has a name that anybody may have thought of: of that nothing is said."""
    tool = registry.tools.get(name)
    if tool is None:
        return None
    often = tool.read_only or tool.toolsets == _OFTEN
    return logging.DEBUG if often else logging.INFO
