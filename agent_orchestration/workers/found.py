"""What the command line names: agents and functions of a module, a file with MCP servers."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.function_agent import FunctionAgent

Agents = list[FunctionAgent[..., Any]]


def agents_of(module: str, wanted: Collection[str] = ()) -> Agents:
    """The functions made agents in a module (`package.module`, or the path of a file), or those
    with the ids that are wanted. Raises `Rejected` where it cannot be loaded, or has none."""
    values: list[Any] = [*vars(_loaded(module, "module")).values()]
    found: dict[str, FunctionAgent[..., Any]] = {
        one.id: one for one in values if isinstance(one, FunctionAgent)
    }
    if not found:
        problem = "has no agents; put @agent(capabilities=…) before a function"
        raise Rejected("no_agents", f"--module: {module} {problem}", field="module")
    if unknown := sorted(set(wanted) - found.keys()):
        problem = f"{module} has no agent {unknown[0]}; it has {', '.join(sorted(found))}"
        raise Rejected("unknown_agent", f"--agent: {problem}", field="agent")
    return [one for name, one in found.items() if not wanted or name in wanted]


def functions_of(module: str) -> list[Callable[..., Any]]:
    """The public functions that are defined in a module. Raises `Rejected`."""
    loaded = _loaded(module, "functions")
    return [
        one
        for name, one in vars(loaded).items()
        if inspect.isfunction(one) and one.__module__ == loaded.__name__ and name[0] != "_"
    ]


def servers_of(file: Path | None) -> dict[str, Any]:
    """The member `mcpServers` of a JSON file, as desktop programs write it. Raises `Rejected`."""
    if file is None:
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Servers).mcpServers
    except (OSError, ValueError) as error:
        problem = f"{file} cannot be read: {error}"
        raise Rejected("bad_file", f"--mcp-servers: {problem}", field="mcp_servers") from error


class _Servers(msgspec.Struct):
    mcpServers: dict[str, dict[str, Any]]  # noqa: N815 - the name in those files


def _loaded(module: str, field: str) -> ModuleType:
    name, folder = module, str(Path.cwd())
    if module.endswith(".py") or os.sep in module:
        file = Path(module)
        name, folder = file.stem, str(file.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        problem = f"there is no module {error.name}; run this where it can be imported"
        raise Rejected("unknown_module", f"--{field}: {problem}", field=field) from error
    except Exception as error:
        problem = f"{module} cannot be loaded: {type(error).__name__}: {error}"
        raise Rejected("bad_module", f"--{field}: {problem}", field=field) from error
