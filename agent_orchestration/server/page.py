"""The status page: what the server is, how it is, how much there is, how to connect."""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, cast

from agent_orchestration import __version__
from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import PlatformError

_PAGE = Template(
    (files("agent_orchestration.server") / "static" / "status.html").read_text("utf-8")
)


async def status_page(dispatcher: Dispatcher, url: str, caller: Caller) -> str:
    """The page as HTML without scripts; `url` is the address under which the `caller` came."""
    status = await dispatcher.status()
    ready = bool(status["ready"])
    config = {"mcpServers": {"agent-orchestration": {"type": "http", "url": f"{url}/mcp"}}}
    return _PAGE.substitute(
        version=escape(__version__),
        state="ready" if ready else "not-ready",
        state_text="Ready" if ready else "Not ready",
        role=escape(str(status.get("role", ""))),
        checks=_checks(status.get("checks", {})),
        overview=await _overview(dispatcher, caller),
        url=escape(url),
        config=escape(json.dumps(config, indent=2)),
    )


def _checks(checks: Mapping[str, Mapping[str, Any]]) -> str:
    return "".join(
        f'<li class="{"ok" if check["ok"] else "bad"}"><strong>{escape(name)}</strong> '
        f"<span>{escape(_said(check))}</span></li>"
        for name, check in checks.items()
    )


def _said(check: Mapping[str, Any]) -> str:
    """What a check found, and since when it is not well."""
    detail = str(check["detail"])
    return detail if check["ok"] else f"{detail} (since {check['since']})"


async def _overview(dispatcher: Dispatcher, caller: Caller) -> str:
    """The counts of `get_overview`: numbers as tiles, groups of numbers as tables."""
    try:
        overview = await dispatcher.call("get_overview", {}, caller)
    except PlatformError as error:
        return f'<p class="note">{escape(error.code)}: {escape(error.reason)}</p>'
    numbers = {name: value for name, value in overview.items() if _is_number(value)}
    groups = {name: _numbers_of(value) for name, value in overview.items()}
    tiles = "".join(
        f'<div class="tile"><b>{value:,}</b><span>{_label(name)}</span></div>'
        for name, value in numbers.items()
    )
    tables = "".join(_table(name, group) for name, group in groups.items() if group)
    return f'<div class="tiles">{tiles}</div><div class="groups">{tables}</div>'


def _table(name: str, numbers: Mapping[str, int]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{_label(key)}</th><td>{value:,}</td></tr>"
        for key, value in numbers.items()
    )
    return f"<table><caption>{_label(name)}</caption><tbody>{rows}</tbody></table>"


def _numbers_of(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    entries = cast("dict[str, Any]", value)
    return {key: number for key, number in entries.items() if _is_number(number)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(name: str) -> str:
    return escape(name.replace("_", " ").capitalize())
