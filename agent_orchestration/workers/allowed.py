"""Which commands an agent may carry out: those of its user's plan files, and named programs.

Whoever can create a task can put a command into it, so a command alone is no reason to run it.
"""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.command_payload import (
    CommandPayload,
    can_execute,
    command_digest,
    find_program,
    parse_command,
)
from agent_orchestration.workers.work_folder import file_name, private_folder, write_private

#: Whether this command of the task with this id may be run here.
Allow = Callable[[str, CommandPayload], bool]


def any_of(*rules: Allow) -> Allow:
    """Allows what one of the rules allows."""
    return lambda task_id, command: any(rule(task_id, command) for rule in rules)


class AllowedPrograms:
    """Allows commands whose program was named with `--allow`.

    A name without a slash stands for what `path` (the variable PATH) leads to. Everybody who may
    create tasks can have these programs run with any arguments; therefore shell text, variables
    and folders of somebody else's choice are refused. Raises `Rejected` for an unknown program.
    """

    def __init__(self, programs: Iterable[str], path: str) -> None:
        self._path = path
        self._allowed: set[Path] = set()
        for name in programs:
            found = find_program(name, Path.cwd(), path)
            if found is None or not can_execute(found):
                problem = "is not a program on this machine; give its path, or its name on PATH"
                raise Rejected("unknown_program", f"--allow: {name} {problem}", field="allow")
            self._allowed.add(found)

    def __call__(self, task_id: str, command: CommandPayload) -> bool:
        """See `Allow`."""
        del task_id  # whose task it is does not matter
        name = Path(command.program)
        if isinstance(command.command, str) or command.env or Path(command.cwd).is_absolute():
            return False
        if len(name.parts) != 1 and not name.is_absolute():
            return False
        return find_program(command.program, Path.cwd(), self._path) in self._allowed


class Grant(msgspec.Struct, frozen=True):
    """The digests of the commands of one plan, as they are kept in a file."""

    plan_id: str
    digests: list[str]


class PlanGrants:
    """Allows the commands of plan files that this user started.

    `run` registers them before it submits the plan, in files that only this user can write; every
    worker with the same folder obeys them. A command is allowed under its task's id only and only
    word for word, with its variables and its folder.
    """

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], frozenset[str]]] = {}

    def register(self, plan_id: str, payloads: Mapping[str, Any]) -> None:
        """Allow these commands, task id -> payload. Raises `Rejected` for one that is none."""
        digests = [command_digest(one, parse_command(payloads[one])) for one in sorted(payloads)]
        content = msgspec.json.encode(Grant(plan_id, digests))
        write_private(self._folder / f"{file_name(plan_id)}.json", content)

    def revoke(self, plan_id: str) -> None:
        """The plan is over: none of its commands is allowed any more."""
        (self._folder / f"{file_name(plan_id)}.json").unlink(missing_ok=True)

    def __call__(self, task_id: str, command: CommandPayload) -> bool:
        """See `Allow`."""
        digest = command_digest(task_id, command)
        return any(digest in digests for digests in self._current())

    def _current(self) -> list[frozenset[str]]:
        """The digests of every file; files that have not changed are not read again."""
        before, self._read = self._read, {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".json"):
                    continue
                try:
                    version = _version(entry.stat(follow_symlinks=False))
                    known = before.get(entry.name)
                    if known is None or known[0] != version:
                        grant = msgspec.json.decode(Path(entry.path).read_bytes(), type=Grant)
                        known = (version, frozenset(grant.digests))
                    self._read[entry.name] = known
                except FileNotFoundError:  # revoked at this moment
                    continue
        return [digests for _, digests in self._read.values()]


def _version(found: os.stat_result) -> tuple[int, int]:
    """Changes whenever a file is replaced. Other users' files grant nothing."""
    if not stat.S_ISREG(found.st_mode) or (
        os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o022)
    ):
        problem = "the grants folder holds what others can write; remove it and run the plan again"
        raise Rejected("foreign_grant", problem, field="work_root")
    return found.st_mtime_ns, found.st_ino
