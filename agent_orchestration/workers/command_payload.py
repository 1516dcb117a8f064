"""The payload of a task that is a command: what it may say, and which program that means."""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.messages import canonical

#: Variables that a command is given by the platform begin with this.
RESERVED_PREFIX = "AO_"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CommandPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program with its arguments, or text for `sh -c`.

    `env` is added to the few variables that commands inherit. `cwd` is a folder below the
    attempt's own one, which is made; a command of a plan file may name any that exists.
    `timeout_seconds` is for one attempt. `stdin` is what the command can read; else it reads
    nothing.
    """

    command: str | Annotated[tuple[str, ...], Meta(min_length=1)]
    env: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    cwd: str = "."
    timeout_seconds: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    stdin: str | None = None

    @property
    def program(self) -> str:
        """What is run."""
        return "sh" if isinstance(self.command, str) else self.command[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the program is given."""
        return ("-c", self.command) if isinstance(self.command, str) else self.command[1:]


def parse_command(payload: Any) -> CommandPayload:
    """The payload as a command; raises `Rejected` naming what is wrong with it."""
    try:
        command = msgspec.convert(payload, CommandPayload)
    except msgspec.ValidationError as error:
        raise _bad(f"{error}; a command is {{'command': ['prog', 'argument']}}") from None
    text = command.command if isinstance(command.command, str) else command.program
    if not text.strip():
        raise _bad("command: is empty; name a program")
    for name in command.env:
        if not _VARIABLE.fullmatch(name):
            raise _bad(f"env: {name!r} cannot be the name of a variable; use A-Z, 0-9 and _")
        if name.startswith(RESERVED_PREFIX):
            raise _bad(f"env: {name!r} is set by the platform; choose another name")
    texts = (command.program, *command.arguments, command.cwd, *command.env.values())
    if any("\0" in text for text in texts):
        raise _bad("contains a zero byte, which no program can be given; remove it")
    return command


def _bad(problem: str) -> Rejected:
    return Rejected("bad_command", f"payload: {problem}", field="payload")


def command_digest(task_id: str, command: CommandPayload) -> str:
    """What tells this command of this task from every other one (SHA-256, 64 hex digits)."""
    return hashlib.sha256(canonical([task_id, command])).hexdigest()


def find_program(name: str, folder: Path, path: str) -> Path | None:
    """The file that a command's first word means: with a slash relative to `folder`, else in the
    folders of `path`, the first that can be executed or else the first of that name."""
    if os.sep in name or (os.altsep is not None and os.altsep in name):
        candidate = Path(os.path.abspath(folder / name))  # noqa: PTH100 (links stay as they are)
        return candidate if candidate.exists() else None
    if found := shutil.which(name, path=path):
        return Path(found).absolute()
    named = (Path(one).absolute() / name for one in path.split(os.pathsep) if one)
    return next((one for one in named if one.is_file()), None)


def can_execute(file: Path) -> bool:
    """Whether it is a file that this user may execute."""
    return file.is_file() and os.access(file, os.X_OK)
