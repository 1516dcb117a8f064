"""An MCP bundle (`.mcpb`): a zip with a manifest, the package's source and its dependencies' names.

The manifest follows version 0.4 of the MCPB specification, server type `uv`: the host installs the
dependencies with uv and runs the entry point. `Manifest` holds the specification's rules.
"""

import json
import zipfile
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_orchestration import __version__
from agent_orchestration.core.errors import Rejected, Unavailable

NAME = "agent-orchestration"
PACKAGE = "agent_orchestration"
ENTRY_POINT = "server.py"
_SERVER = """\
import sys

from agent_orchestration.cli import main

sys.exit(main(["mcp"]))
"""
_PYPROJECT = """\
[project]
name = "agent-orchestration-bundle"
version = "{version}"
requires-python = "{python}"
dependencies = {dependencies}

[tool.uv]
package = false
"""
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Author(_Strict):
    """Who made the bundle."""

    name: Text


class McpConfig(_Strict):
    """How the host starts the server; `${__dirname}` is the unpacked bundle."""

    command: Text
    args: list[str] = []
    env: dict[str, str] = {}


class UvServer(_Strict):
    """A Python server whose dependencies uv installs."""

    type: Literal["uv"]
    entry_point: Text
    mcp_config: McpConfig | None = None


class ListedTool(_Strict):
    """A tool as the host lists it before the server runs."""

    name: Text
    description: str | None = None


class Runtimes(_Strict):
    """Versions of what runs the server."""

    python: str | None = None


class Compatibility(_Strict):
    """Where the bundle runs."""

    claude_desktop: str | None = None
    platforms: list[Literal["darwin", "win32", "linux"]] | None = None
    runtimes: Runtimes | None = None


class Manifest(_Strict):
    """`manifest.json`: the fields we use, under the specification's rules; others are refused."""

    manifest_version: Literal["0.4"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    display_name: Text | None = None
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]
    description: Text
    long_description: str | None = None
    author: Author
    server: UvServer
    tools: list[ListedTool] = []
    tools_generated: bool | None = None
    prompts_generated: bool | None = None
    keywords: list[str] | None = None
    license: str | None = None
    compatibility: Compatibility | None = None


def write_bundle(target: Path) -> int:
    """Write the bundle and check it; the number of its files. Raises `Rejected` for a name that
    does not end in .mcpb, `Unavailable` where the package's own metadata is not installed."""
    if target.suffix != ".mcpb":
        raise Rejected("bundle_name", f"--bundle: {target} must end in .mcpb", field="bundle")
    content = {
        "manifest.json": json.dumps(manifest(), indent=2, ensure_ascii=False).encode(),
        "pyproject.toml": _pyproject().encode(),
        ENTRY_POINT: _SERVER.encode(),
    }
    for path, file in _sources(files(PACKAGE), PurePosixPath(PACKAGE)):
        content[str(path)] = file.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.new")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            # A fixed time: the same version always makes the same bundle.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    check_bundle(draft)
    draft.replace(target)
    return len(content)


def manifest() -> dict[str, Any]:
    """The manifest of this version."""
    from agent_orchestration.app import REGISTRY  # noqa: PLC0415 (start-up time)

    return {
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": "Agent orchestration",
        "version": __version__,
        "description": "Agents, their tasks, and the graph of both, driven over MCP.",
        "author": {"name": "Agent orchestration contributors"},
        "server": {
            "type": "uv",
            "entry_point": ENTRY_POINT,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", ENTRY_POINT],
            },
        },
        "tools": [
            {"name": tool.name, "description": tool.title}
            for tool in REGISTRY.tools.values()
            if "orchestrate" in tool.toolsets
        ],
        "prompts_generated": True,
        "keywords": ["agents", "orchestration", "tasks", "graph"],
        "license": "Apache-2.0",
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": _python()},
        },
    }


def check_bundle(path: Path) -> None:
    """Raises `Rejected` where the file breaks a rule of the specification."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        problems = [f"{name} is missing" for name in ("manifest.json",) if name not in names]
        if not problems:
            problems += _manifest_problems(archive.read("manifest.json"), names)
    # A uv bundle brings no packages along: the host installs them.
    problems += [f"{n} must not be there" for n in names if n.startswith(("server/lib", ".venv"))]
    if problems:
        raise Rejected("invalid_bundle", f"{path.name}: {'; '.join(problems)}", problems=problems)


def _manifest_problems(text: bytes, names: set[str]) -> list[str]:
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        return [
            f"manifest.json: {'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
    needed = ("pyproject.toml", found.server.entry_point)
    return [f"{name} is missing" for name in needed if name not in names]


def _pyproject() -> str:
    requirements = [
        line for line in _metadata().get_all("Requires-Dist") or [] if "extra" not in line
    ]
    return _PYPROJECT.format(
        version=__version__, python=_python(), dependencies=json.dumps(requirements, indent=4)
    )


def _python() -> str:
    return _metadata()["Requires-Python"]


def _metadata() -> metadata.PackageMetadata:
    try:
        return metadata.metadata(NAME)
    except metadata.PackageNotFoundError:
        raise Unavailable(
            "not_installed", f"{NAME} runs from source; install it to make a bundle of it"
        ) from None


def _sources(folder: Traversable, path: PurePosixPath) -> list[tuple[PurePosixPath, Traversable]]:
    found: list[tuple[PurePosixPath, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, path / entry.name)
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            found.append((path / entry.name, entry))
    return found
