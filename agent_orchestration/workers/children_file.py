"""The children of this machine's workers, on disk, so that a killed worker leaves none behind."""

import logging
import os
import time
from pathlib import Path

import msgspec

from agent_orchestration.workers.processes import Family, signal_all, started_at, survivors
from agent_orchestration.workers.work_folder import private_folder, write_private

KILL_SECONDS = 5.0
LOOK_SECONDS = 0.01

logger = logging.getLogger(__name__)


class ChildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A command that runs: its processes, whose work it is, and the worker's process."""

    family: Family
    task_id: str
    attempt: int
    worker: int
    worker_started: str


class Children:
    """A folder with a file for every command that runs below a work root.

    A record is written before the command begins and removed when nothing of it is left. Raises
    `Rejected` where the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = private_folder(folder)
        self._worker = os.getpid()
        self._started = started_at(self._worker)

    def record(self, family: Family, task_id: str, attempt: int) -> None:
        """This command is about to begin."""
        record = ChildRecord(
            family=family,
            task_id=task_id,
            attempt=attempt,
            worker=self._worker,
            worker_started=self._started,
        )
        write_private(self._file(family), msgspec.json.encode(record))

    def forget(self, family: Family) -> None:
        """Nothing of the command is left."""
        self._file(family).unlink(missing_ok=True)

    def end_orphans(self) -> list[ChildRecord]:
        """Kill what the workers left behind that have died; answers whose it was.

        Blocks until it is gone, five seconds at most. What cannot be killed stays recorded.
        """
        orphans: list[ChildRecord] = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                record = msgspec.json.decode(file.read_bytes(), type=ChildRecord)
            except FileNotFoundError:  # it has just ended
                continue
            except msgspec.DecodeError as error:
                logger.error("%s is no record of a command: %s; remove it", file, error)
                continue
            if started_at(record.worker) != record.worker_started:
                self._end(record)
                orphans.append(record)
        return orphans

    def _end(self, record: ChildRecord) -> None:
        if survivors(record.family):
            logger.warning(
                "ending the command of task %s, attempt %d: its worker has died",
                record.task_id,
                record.attempt,
            )
        if left := kill_family(record.family):
            logger.error("processes %s cannot be ended", left)
        else:
            self.forget(record.family)

    def _file(self, family: Family) -> Path:
        return self._folder / f"{family.token}.json"


def kill_family(family: Family) -> list[int]:
    """SIGKILL to all until nobody is left; answers who is left after five seconds all the same."""
    ends = time.monotonic() + KILL_SECONDS
    while (left := survivors(family)) and time.monotonic() < ends:
        signal_all(family, kill=True)
        time.sleep(LOOK_SECONDS)
    return left
