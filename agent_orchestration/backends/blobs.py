"""Blobs: bytes too large for a record of the log, kept under the hash of their content."""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Protocol

from agent_orchestration.core.entities import DEFAULT_TENANT
from agent_orchestration.core.errors import Corrupt, NotFound, Unavailable

_DIGEST = re.compile(r"[0-9a-f]{64}")
_INLINE_BYTES = 1_000_000
"""Up to this size hashing and writing take less than a few milliseconds."""


class BlobStore(Protocol):
    """The protocol of every blob store."""

    async def put(self, data: bytes) -> str:
        """Keep the bytes and return their SHA-256 as 64 hex digits; the same bytes again change
        nothing. Raises `Unavailable` where they cannot be kept."""
        ...

    async def get(self, digest: str) -> bytes:
        """The bytes. Raises `NotFound` for a digest that names none, `Corrupt` where what is
        kept is not what was put, `Unavailable` where it cannot be read."""
        ...

    def of(self, tenant: str) -> "BlobStore":
        """The store of what belongs to a tenant: to know a digest is no right to read."""
        ...


class FolderBlobs:
    """A `BlobStore` in a folder: one file per blob, in subfolders of its first two digits.

    With `fsync`, a blob survives the death of the machine once `put` has returned. What is not the
    default tenant's is in folders below, which are named by a digest too: a tenant's name is not
    one of a file. `above`: folders that are made together with this one.
    """

    def __init__(self, path: Path, *, fsync: bool = False, above: tuple[Path, ...] = ()) -> None:
        self._path = path
        self._fsync = fsync
        self._above = above

    def of(self, tenant: str) -> "FolderBlobs":
        """The store of what belongs to a tenant."""
        if tenant == DEFAULT_TENANT:
            return self
        tenants = self._path / "tenants"
        folder = tenants / hashlib.sha256(tenant.encode()).hexdigest()
        return FolderBlobs(folder, fsync=self._fsync, above=(tenants, self._path))

    async def put(self, data: bytes) -> str:
        """Write the bytes under a temporary name and rename: nobody sees half a blob."""
        if len(data) <= _INLINE_BYTES:
            return self._put(data)
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: str) -> bytes:
        """The bytes, checked against their digest."""
        # The pattern is also what keeps names like `../x` out of the path.
        if not _DIGEST.fullmatch(digest):
            raise _not_found(digest)
        try:
            size = self._file(digest).stat().st_size
            if size <= _INLINE_BYTES:
                return self._get(digest)
            return await asyncio.to_thread(self._get, digest)
        except FileNotFoundError:
            raise _not_found(digest) from None
        except OSError as error:
            reason = f"blob {digest} cannot be read: {error}; check {self._path} and repeat"
            raise Unavailable("blob_unavailable", reason) from error

    def _file(self, digest: str) -> Path:
        return self._path / digest[:2] / digest

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        file = self._file(digest)
        try:
            if not _holds(file, data):
                self._write(file, data)
        except OSError as error:
            reason = f"blob {digest} cannot be kept: {error}; check {self._path} and repeat"
            raise Unavailable("blob_unavailable", reason) from error
        return digest

    def _write(self, file: Path, data: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                if self._fsync:
                    os.fsync(stream.fileno())
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if self._fsync:
            for folder in (file.parent, self._path, *self._above):
                sync_folder(folder)

    def _get(self, digest: str) -> bytes:
        data = self._file(digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            reason = (
                f"blob {digest} in {self._path} is not what was put there: "
                "restore the file from a backup, or put the same bytes again"
            )
            raise Corrupt("blob_corrupt", reason, digest=digest)
        return data


def _holds(file: Path, data: bytes) -> bool:
    """Whether the file has these bytes; a damaged one is written again."""
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_size == len(data) and file.read_bytes() == data
    return False


def sync_folder(folder: Path) -> None:
    """Make a rename durable; where folders cannot be opened the system does so itself."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _not_found(digest: str) -> NotFound:
    return NotFound("blob", f"no blob {digest[:80]!r}: check the digest", digest=digest[:80])
