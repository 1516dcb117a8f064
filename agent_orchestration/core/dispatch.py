"""Calling tools: what every front door (MCP, HTTP, command line, worker) holds.

A `Dispatcher` runs a tool by name for a caller. One runs it in this process; another passes it to
the process that owns the data folder. Front doors cannot tell the difference.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec

from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Forbidden
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.core.tool import Role, Tool

LOCAL_OPERATOR = Principal("local", Role.ADMIN.value)
TIMER = Principal("timer", Role.ADMIN.value)
RESERVED = frozenset({LOCAL_OPERATOR.id, TIMER.id})
"""The names that the platform itself acts under: nobody may log in as one of them."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a tool runs. `correlation` groups the commands of one conversation."""

    principal: Principal = LOCAL_OPERATOR
    tenant: str = DEFAULT_TENANT
    correlation: str | None = None
    traceparent: str | None = None


class ToolCaller(Protocol):
    """Runs tools: all that a worker needs."""

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The tool's answer as plain JSON data; raises a `PlatformError`."""
        ...

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """The bytes of a field too large for the log; `NotFound` where there is none."""
        ...


class Dispatcher(ToolCaller, Protocol):
    """Runs tools and operations, and says how it is."""

    registry: Registry

    async def status(self) -> dict[str, Any]:
        """Readiness: `{"ready": bool, "role": "owner" | "joined" | "processor" | "server",
        "checks": {name: {"ok": bool, "detail": str, "since": ISO 8601, "seconds": float}}, …}`,
        the last two for how long it is so."""
        ...

    def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        """An operator's long work: yields `{"phase": name, "done": n, "total": n | None}` on the
        way, and at the end what the operation answers."""
        ...


def authorise(tool: Tool, arguments: Mapping[str, Any], caller: Caller) -> None:
    """Raise `Forbidden` where the caller may not use the tool, or not for that agent."""
    principal = caller.principal
    if not tool.allows(principal.role):
        raise Forbidden(
            "role", f"{tool.name} needs the role {tool.role.value}; you have {principal.role}"
        )
    named = arguments.get("agent_id")
    if principal.role == Role.AGENT and named is not None and named != principal.agent_id:
        raise Forbidden(
            "not_your_agent",
            f"agent_id: you act for agent {principal.agent_id} only",
            field="agent_id",
        )
