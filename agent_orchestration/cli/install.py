"""`install claude-desktop`: make the platform known to Claude Desktop."""

import json
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agent_orchestration.cli.session import ConfigOption, DataOption, ToolsOption, settings
from agent_orchestration.core.errors import Rejected

ENTRY = "agent-orchestration"
FILE_NAME = "claude_desktop_config.json"
_FOLDERS = {"darwin": "Library/Application Support", "win32": "AppData/Roaming"}

install = typer.Typer(help="Make the platform known to other programs.", no_args_is_help=True)


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    program.add_typer(install, name="install")


@install.callback()
def _group() -> None:
    """Keeps `claude-desktop` a verb of its own while it is the only one."""


@install.command("claude-desktop")
def claude_desktop(
    path: Annotated[
        Path | None,
        typer.Option("--path", metavar="FILE", help=f"Another {FILE_NAME}.", show_default=False),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Show the entry and change nothing.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="Write an .mcpb bundle to install by double click instead.",
            show_default=False,
        ),
    ] = None,
    tools: ToolsOption = "orchestrate",
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Add an entry to Claude Desktop's settings. Other entries stay; a copy is kept.

    Example: agent-orchestration install claude-desktop

    Example: agent-orchestration install claude-desktop --bundle agent-orchestration.mcpb
    """
    from agent_orchestration.server.toolsets import parse_toolsets  # noqa: PLC0415

    parse_toolsets(tools)
    if bundle is not None:
        from agent_orchestration.cli.bundle import write_bundle  # noqa: PLC0415 (start-up time)

        count = write_bundle(bundle)
        print(f"{bundle}: {count} files; open it with Claude Desktop")
        return
    loaded = settings(config, data)
    entry = _entry(loaded.data, tools, config)
    if print_only:
        print(json.dumps({"mcpServers": {ENTRY: entry}}, indent=2))
        return
    file = (path or usual_file()).expanduser()
    print(_install(file.resolve(), entry))


def usual_file() -> Path:
    """Where Claude Desktop keeps its settings on this system."""
    folder = _FOLDERS.get(sys.platform, ".config")
    return Path.home() / folder / "Claude" / FILE_NAME


def _entry(data: Path, tools: str, config: Path | None) -> dict[str, Any]:
    """How to start the stdio server; absolute, since desktop programs know no search path."""
    arguments = ["-m", "agent_orchestration", "mcp", "--data", str(data)]
    if tools != "orchestrate":
        arguments += ["--tools", tools]
    if config is not None:
        arguments += ["--config", str(config.expanduser().absolute())]
    return {"command": sys.executable, "args": arguments}


def _install(file: Path, entry: dict[str, Any]) -> str:
    """Write the entry unless it is there already; what was done."""
    content = _read(file)
    servers: object = content.setdefault("mcpServers", {})
    if not isinstance(servers, dict):
        raise Rejected("malformed_settings", f"{file}: mcpServers is not an object; correct it")
    known = cast("dict[str, Any]", servers)
    if known.get(ENTRY) == entry:
        return f"{file}: is up to date"
    known[ENTRY] = entry
    backup = _back_up(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if backup is not None:
        shutil.copymode(file, draft)
    draft.replace(file)
    kept = f" (before: {backup.name})" if backup else ""
    return f"{file}: added {ENTRY}{kept}; restart Claude Desktop"


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise Rejected("malformed_settings", f"{file}: is not UTF-8 text; correct it") from None
    try:
        content: object = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Rejected(
            "malformed_settings", f"{file}: is not JSON: {error}; correct it, nothing was changed"
        ) from None
    if not isinstance(content, dict):
        raise Rejected("malformed_settings", f"{file}: is not a JSON object; correct it")
    return cast("dict[str, Any]", content)


def _back_up(file: Path) -> Path | None:
    if not file.exists():
        return None
    stamp = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    backup = file.with_name(f"{file.name}.{stamp}.bak")
    count = 1
    while backup.exists():
        backup = file.with_name(f"{file.name}.{stamp}-{count}.bak")
        count += 1
    shutil.copy2(file, backup)
    return backup
