"""The embedded log for a verb that has it to itself."""

import contextlib
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def owned(data: Path, aim: str) -> Generator[None]:
    """The data folder is ours meanwhile. Raises `Rejected` while another process has it, which is
    to be ended before `aim`."""
    from agent_orchestration.core.errors import Rejected  # noqa: PLC0415 (start-up time)
    from agent_orchestration.data_folder import DataFolder  # noqa: PLC0415

    folder = DataFolder(data)
    if not folder.try_own():
        owner = folder.owner()
        who = f"process {owner.pid} ({owner.url})" if owner else "another process"
        reason = f"{who} is at work on data folder {folder.path}: end it, then {aim}"
        raise Rejected("data_folder_owned", reason, data=str(folder.path))
    try:
        yield
    finally:
        folder.release()


def require_log(folder: Path) -> None:
    """Raises `NotFound` where the data folder has no log."""
    from agent_orchestration.core.errors import NotFound  # noqa: PLC0415 (start-up time)

    if not (folder / "log.sqlite").is_file():
        reason = f"there is no log in {folder}: name the data folder with --data"
        raise NotFound("log", reason, data=str(folder))
