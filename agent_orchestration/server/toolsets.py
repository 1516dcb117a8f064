"""Toolsets: which tools a client is shown. They shape the listing, never what may be called."""

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.tool import TOOLSETS

Toolsets = frozenset[str] | None
"""The chosen toolsets; None shows every tool."""

DEFAULT_TOOLSETS: frozenset[str] = frozenset({"orchestrate"})
TOOLSETS_HEADER = "X-MCP-Toolsets"


def parse_toolsets(text: str) -> Toolsets:
    """`worker,inspect` or `all` as a choice. Raises `Rejected` naming an unknown toolset."""
    names = frozenset(name for part in text.split(",") if (name := part.strip().lower()))
    if "all" in names:
        return None
    if unknown := sorted(names.difference(TOOLSETS)):
        known = ", ".join((*TOOLSETS, "all"))
        raise Rejected(
            "unknown_toolset",
            f"toolsets: no toolset is called {unknown[0]!r}; choose from {known}",
            field="toolsets",
        )
    return names or DEFAULT_TOOLSETS
