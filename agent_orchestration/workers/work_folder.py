"""The folders of a command agent below its work root; all of them are for this user only."""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.types import REQUEST_LIMIT

#: What a command may write as its result: 10 MB with everything else that is reported.
RESULT_BYTES = REQUEST_LIMIT - 256 * 1024
_NAME_LENGTH = 80


def private_folder(folder: Path) -> Path:
    """The folder, made where it is missing. Raises `Rejected` where it cannot be written to."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise Rejected(
            "work_root",
            f"work root: {folder} cannot be written to: {error.strerror or error}; choose a folder"
            " that this user may write to",
            field="work_root",
            path=str(folder),
        ) from None


def write_private(file: Path, content: bytes) -> None:
    """Write a file that appears at once, as a whole, and that only this user can read."""
    handle, draft = tempfile.mkstemp(dir=file.parent, suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def file_name(some_id: str) -> str:
    """A file name that no other id has, on any file system."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", some_id)[:_NAME_LENGTH]
    return f"{readable}-{hashlib.sha256(some_id.encode()).hexdigest()[:12]}"


class AttemptFolder:
    """The folder of one attempt of a task: what goes in, what comes out, and a place to work."""

    def __init__(self, root: Path, task_id: str, attempt: int) -> None:
        self.path = root / file_name(task_id) / str(attempt)
        self.dependencies = self.path / "dependencies.json"
        self.result = self.path / "result.json"
        self.work = self.path / "work"

    def make(self) -> None:
        """An empty folder, whatever an attempt of that number left there in another log."""
        if self.path.exists():
            shutil.rmtree(self.path)
        self.work.mkdir(mode=0o700, parents=True)

    def append_to_dependencies(self, content: bytes) -> None:
        """Write on; the results come one by one, as each may be large."""
        with self.dependencies.open("ab") as stream:
            stream.write(content)

    def read_result(self) -> Any:
        """What the command wrote as its result, None where it wrote nothing.

        Raises `Rejected` for what is not a file with JSON of the allowed size.
        """
        try:
            # The command may have put anything there: a link, or a pipe that nobody writes to.
            flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            handle = os.open(self.result, os.O_RDONLY | flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _bad_result(f"cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise _bad_result("is not a file; write JSON to it")
        with os.fdopen(handle, "rb") as stream:
            content = stream.read(RESULT_BYTES + 1)
        if len(content) > RESULT_BYTES:
            raise _bad_result(f"has more than {RESULT_BYTES} bytes; write less, or name a file")
        try:
            return msgspec.json.decode(content) if content.strip() else None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise _bad_result(f"is not JSON: {error}") from None

    def tidy(self) -> None:
        """Remove what is not needed after the attempt; what the command made stays."""
        for file in (self.dependencies, self.result):
            with contextlib.suppress(OSError):  # a folder in its place is the command's doing
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            for folder in (self.work, self.path, self.path.parent):
                folder.rmdir()


def _bad_result(problem: str) -> Rejected:
    return Rejected("bad_result", f"the file named by AO_RESULT {problem}", field="AO_RESULT")
