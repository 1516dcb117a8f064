"""The data folder and who owns it.

One process at a time owns a folder: it holds the lock on `owner.lock`. The operating system frees
the lock when that process ends, however it ends, so nothing has to be cleaned up after a crash.
`owner.json` tells the others where the owner can be reached and with which token; it is believed
only while the lock is held by somebody.
"""

import contextlib
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import filelock
import msgspec

from agent_orchestration import __version__
from agent_orchestration.core.errors import Unavailable

_REPLACE_TRIES = 20


class Owner(msgspec.Struct, frozen=True):
    """What `owner.json` says. `started_at` is RFC 3339; `token` is for this user's eyes only."""

    pid: int
    url: str
    token: str
    version: str
    started_at: str

    def __repr__(self) -> str:
        return f"Owner(pid={self.pid}, url={self.url!r}, version={self.version!r})"


class DataFolder:
    """A folder with the log, the graph and the blobs; made on first use, for this user only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: filelock.BaseFileLock | None = None

    @property
    def owner_file(self) -> Path:
        """Where the owner says how to reach it."""
        return self.path / "owner.json"

    @property
    def lock_file(self) -> Path:
        """The file whose lock is the ownership. It stays when nobody holds it."""
        return self.path / "owner.lock"

    @property
    def owned(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock is not None

    def try_own(self) -> bool:
        """Become the owner if nobody else is. What a former owner left behind is removed.

        Raises `Unavailable` where the folder cannot be made, written to, or locked.
        """
        if self.owned:
            return True
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A lock that only exists as a file would outlive a killed process.
            lock = filelock.FileLock(self.lock_file, thread_local=False, fallback_to_soft=False)
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise Unavailable(
                "data_folder",
                f"data folder {self.path} cannot be used: {error}; choose another with --data",
                data=str(self.path),
            ) from None
        self._lock = lock
        self.owner_file.unlink(missing_ok=True)
        return True

    def announce(self, url: str, token: str) -> Owner:
        """Tell other processes where this one, the owner, answers. The file appears at once."""
        owner = Owner(os.getpid(), url, token, __version__, datetime.now(UTC).isoformat())
        self._write(msgspec.json.encode(owner))
        return owner

    def owner(self) -> Owner | None:
        """Who says to own the folder; None where nobody does, yet or any more."""
        try:
            return msgspec.json.decode(self.owner_file.read_bytes(), type=Owner)
        except (OSError, msgspec.DecodeError):
            return None

    def withdraw(self) -> None:
        """As the owner: let nobody join any more."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # the next owner removes it as well
                self.owner_file.unlink(missing_ok=True)

    def release(self) -> None:
        """End the ownership; the next process takes over."""
        self.withdraw()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _write(self, content: bytes) -> None:
        draft = self.path / f"owner.json.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        for _ in range(_REPLACE_TRIES):
            try:
                draft.replace(self.owner_file)
            except PermissionError:  # Windows: somebody is reading it at this moment
                time.sleep(0.01)
            else:
                return
        draft.replace(self.owner_file)


def new_token() -> str:
    """A token that cannot be guessed, for one owner's lifetime."""
    return secrets.token_urlsafe(32)
