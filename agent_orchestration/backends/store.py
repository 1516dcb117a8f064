"""Files under a name, in a folder or in any store that fsspec knows: archives and backups."""

import asyncio
import os
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast

from agent_orchestration.backends.blobs import sync_folder
from agent_orchestration.core.errors import NotFound, Rejected, Unavailable

T = TypeVar("T")


class Store:
    """Files at `url`: a folder, or what fsspec understands (`s3://bucket/path`, with the package
    that this needs). Names are relative paths. Nobody ever sees half a file, and what was put in a
    folder survives the death of the machine.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: tuple[Any, str] | None = None

    async def names(self, folder: str = "") -> list[str]:
        """All files in it and below, in order. Raises `Unavailable`."""
        return await self._do(self._names, folder)

    async def put(self, name: str, data: bytes) -> None:
        """Write a file, or put it in the place of another one. Raises `Unavailable`."""
        await self._do(self._put, name, data)

    async def get(self, name: str) -> bytes:
        """Read a file. Raises `NotFound`, `Unavailable`."""
        return await self._do(self._get, name)

    async def remove(self, name: str) -> None:
        """Delete a file, if there is one. Raises `Unavailable`."""
        await self._do(self._remove, name)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.to_thread(work, *arguments)
        except FileNotFoundError:
            raise NotFound("no_file", f"{self.url} has no file {arguments[0]}") from None
        except Rejected:
            raise
        except Exception as error:  # each store has errors of its own
            reason = f"{self.url} cannot be used: {error}; check it, then repeat"
            raise Unavailable("store_unavailable", reason) from error

    def _open(self) -> tuple[Any, str]:
        """The file system, and the path in it."""
        if self._opened is None:
            # It takes a sixth of a second to import, which only those need who archive.
            import fsspec.core  # noqa: PLC0415

            try:
                url_to_fs = cast("Any", fsspec.core).url_to_fs
                system, path = url_to_fs(self.url)
            except (ImportError, ValueError) as error:
                raise Rejected("invalid_store", f"{self.url}: {error}", field="url") from None
            self._opened = system, path.rstrip("/")
        return self._opened

    def _path(self, name: str) -> tuple[Any, str]:
        system, root = self._open()
        return system, f"{root}/{name}" if name else root

    def _names(self, folder: str) -> list[str]:
        system, path = self._path(folder)
        system.invalidate_cache()
        root = self._open()[1]
        found = [one.removeprefix(f"{root}/") for one in system.find(path)]
        return sorted(one for one in found if not PurePosixPath(one).name.startswith("."))

    def _put(self, name: str, data: bytes) -> None:
        system, path = self._path(name)
        whole = PurePosixPath(path)
        system.makedirs(str(whole.parent), exist_ok=True)
        part = str(whole.with_name(f".{whole.name}.{uuid.uuid4().hex}.part"))
        local = getattr(system, "protocol", ()) == ("file", "local")
        try:
            with system.open(part, "wb") as stream:
                stream.write(data)
                if local:
                    stream.flush()
                    os.fsync(stream.fileno())
            system.mv(part, path)
            if local:
                sync_folder(Path(path).parent)
        except BaseException:
            if system.exists(part):
                system.rm_file(part)
            raise

    def _get(self, name: str) -> bytes:
        system, path = self._path(name)
        return system.cat_file(path)

    def _remove(self, name: str) -> None:
        system, path = self._path(name)
        if system.exists(path):
            system.rm_file(path)
