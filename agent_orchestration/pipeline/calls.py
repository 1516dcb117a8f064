"""Counting the calls of tools."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from agent_orchestration import measures
from agent_orchestration.core.errors import PlatformError


@contextmanager
def counted(tool: str, arguments: Mapping[str, Any]) -> Generator[None]:
    """A call of that tool: how long it takes and how it ends, and of which agent it speaks."""
    outcome = "failed"
    try:
        with measures.TOOL_SECONDS.timed(tool):
            yield
        outcome = "answered"
    except PlatformError as error:
        outcome = error.kind
        raise
    finally:
        measures.TOOL_CALLS.add(tool, outcome)
    agent = arguments.get("agent_id")
    if isinstance(agent, str):
        measures.AGENT_INTERACTIONS.add(agent)
