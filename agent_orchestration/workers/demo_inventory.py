"""The demo's real work: taking stock of a folder of documents. Nothing is ever written there."""

import asyncio
import hashlib
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.held import HeldTask, TaskError

SHARDS = 3
#: What is looked at of a folder, at most; the report says what was left out.
MOST_DOCUMENTS = 2000
MOST_ENTRIES = 50_000
MOST_BYTES = 5_000_000
#: How long a share of the folder takes at least, so that one can watch, and kill, its worker.
SHARE_SECONDS = 1.5

_WORD = re.compile(r"[^\W\d_]{3,}")
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})

Result = dict[str, Any]
Job = Callable[[Path, HeldTask], Awaitable[Result]]


def handler(folder: Path) -> Callable[[HeldTask], Awaitable[Result]]:
    """Carries out the demo's tasks on this folder, whatever folder a task may name."""

    async def carry_out(task: HeldTask) -> Result:
        payload: Any = task.payload
        name = cast("Result", payload).get("job") if isinstance(payload, dict) else None
        job = JOBS.get(name) if isinstance(name, str) else None
        if job is None:
            problem = "this agent only takes stock of documents; it does not know this work"
            raise TaskError(problem, error_type="unknown_job")
        return await job(folder, task)

    return carry_out


def find_documents(folder: Path) -> tuple[list[tuple[str, int]], int]:
    """(path below the folder, bytes) of its documents in order, and how many were left out:
    too many, too large, not readable. Links are not followed, hidden files not looked at."""
    found: list[tuple[str, int]] = []
    left_out = 0
    for number, entry in enumerate(_files(folder)):
        size = _size(entry)
        if size is None or size > MOST_BYTES or len(found) == MOST_DOCUMENTS:
            left_out += 1
        else:
            found.append((Path(entry.path).relative_to(folder).as_posix(), size))
        if number >= MOST_ENTRIES:
            break
    return found, left_out


def require_documents(folder: Path) -> Path:
    """The folder, absolute, with something in it; raises `Rejected` where there is nothing."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        problem = f"--folder: {folder} is no folder; name one with documents in it"
        raise Rejected("no_folder", problem, field="folder")
    if not find_documents(folder)[0]:
        problem = f"--folder: {folder} holds no document that can be read; name another"
        raise Rejected("no_documents", problem, field="folder")
    return folder


def _files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # a folder that may not be read counts as empty
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _LEFT_OUT:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield entry


def _size(entry: "os.DirEntry[str]") -> int | None:
    try:
        return entry.stat().st_size if os.access(entry.path, os.R_OK) else None
    except OSError:
        return None


async def _scan(folder: Path, _task: HeldTask) -> Result:
    documents, left_out = await asyncio.to_thread(find_documents, folder)
    return {"documents": documents, "left_out": left_out}


async def _share(folder: Path, task: HeldTask, look: Callable[[str, bytes], None]) -> Result:
    """Look at every document of this task's share; answers how many could be read."""
    scan = await task.dependency_result(task.dependencies[0])
    mine = scan["documents"][task.payload["share"] :: task.payload["shares"]]
    read = 0
    for number, (name, _) in enumerate(mine, 1):
        try:
            content = await asyncio.to_thread((folder / name).read_bytes)
        except OSError:  # gone or forbidden since the scan
            continue
        look(name, content[:MOST_BYTES])
        read += 1
        await task.progress({"document": name, "done": number, "of": len(mine)})
        await asyncio.sleep(SHARE_SECONDS / len(mine))
    return {"read": read, "unreadable": len(mine) - read}


def _text(content: bytes) -> str | None:
    """The content as text; None for anything binary."""
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


async def _count(folder: Path, task: HeldTask) -> Result:
    totals: Counter[str] = Counter()

    def look(_name: str, content: bytes) -> None:
        totals["bytes"] += len(content)
        text = _text(content)
        totals["binary"] += text is None
        totals["lines"] += 0 if text is None else text.count("\n")
        totals["words"] += 0 if text is None else len(text.split())

    return {**await _share(folder, task, look), **totals}


async def _hash(folder: Path, task: HeldTask) -> Result:
    digests: dict[str, str] = {}

    def look(name: str, content: bytes) -> None:
        if content:
            digests[name] = hashlib.sha256(content).hexdigest()

    return {**await _share(folder, task, look), "digests": digests}


async def _index(folder: Path, task: HeldTask) -> Result:
    words: Counter[str] = Counter()

    def look(_name: str, content: bytes) -> None:
        words.update(word.lower() for word in _WORD.findall(_text(content) or ""))

    return {**await _share(folder, task, look), "words": dict(words.most_common(500))}


async def _results(task: HeldTask) -> dict[str, Result]:
    return {one: await task.dependency_result(one) for one in task.dependencies}


async def _duplicates(_folder: Path, task: HeldTask) -> Result:
    same: dict[str, list[str]] = {}
    for result in (await _results(task)).values():
        for name, digest in result["digests"].items():
            same.setdefault(digest, []).append(name)
    groups = sorted(sorted(names) for names in same.values() if len(names) > 1)
    return {"groups": groups, "documents": sum(len(names) - 1 for names in groups)}


async def _words(_folder: Path, task: HeldTask) -> Result:
    words: Counter[str] = Counter()
    for result in (await _results(task)).values():
        words.update(result["words"])
    return {"most_used": words.most_common(10)}


async def _report(folder: Path, task: HeldTask) -> Result:
    totals: Counter[str] = Counter()
    found: Result = {"folder": str(folder)}
    for task_id, result in sorted((await _results(task)).items()):
        part = task_id.rpartition(".")[2]
        if part.startswith("count-"):
            totals.update(result)
        else:
            found[part] = result
    return {**found, "totals": totals}


JOBS: dict[str, Job] = {
    "scan": _scan,
    "count": _count,
    "hash": _hash,
    "index": _index,
    "duplicates": _duplicates,
    "words": _words,
    "report": _report,
}
