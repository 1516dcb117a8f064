"""Backups: a graph at one position of the log, as files in a store."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Sequence

import msgspec

from agent_orchestration import __version__
from agent_orchestration.backends.graph import Graph, GraphWrite, Position
from agent_orchestration.backends.graph.fingerprint import fingerprint
from agent_orchestration.backends.graph.snapshot import LOADING, files_of, write_of
from agent_orchestration.backends.log import DAY_MS
from agent_orchestration.backends.store import Store
from agent_orchestration.config import Backups as Settings
from agent_orchestration.core.entities import Entity, shape_of, to_datetime
from agent_orchestration.core.errors import Conflict, Corrupt, NotFound, Rejected

FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"\d{8}T\d{6}Z-\d{3}")
#: A position in the epoch of no log: a graph that has it is not whole, and nobody works on it.
UNFINISHED: Position = 0, 0


class Kept(msgspec.Struct, frozen=True):
    """A file of a backup."""

    name: str
    lines: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """A backup: `positions` by partition of `events`, in the log's `epoch`; `created` in
    milliseconds since the epoch; `shape` of the entities that it has."""

    name: str
    created: int
    version: str
    shape: str
    epoch: int
    positions: list[int]
    fingerprint: str
    files: list[Kept]
    format: int = FORMAT


class Backups:
    """The backups in a store; those older than `keep_ms` are deleted, but never the last one."""

    def __init__(self, store: Store, keep_ms: int, entities: Iterable[type[Entity]]) -> None:
        self.store = store
        self._keep_ms = keep_ms
        self._entities = tuple(entities)
        self._shape = shape_digest(self._entities)

    async def all(self) -> list[Manifest]:
        """Those that are whole, the oldest first. Raises `Unavailable`."""
        names = [one for one in await self.store.names() if one.endswith(f"/{MANIFEST}")]
        found = [msgspec.json.decode(await self.store.get(name), type=Manifest) for name in names]
        return sorted(found, key=lambda one: (one.created, one.name))

    async def named(self, name: str | None) -> Manifest:
        """The backup of that name, or the last one. Raises `NotFound`."""
        found = [one for one in await self.all() if name in {None, one.name}]
        if not found:
            what = "no backup" if name is None else f"no backup {name}"
            raise NotFound("no_backup", f"name: {what} in {self.store.url}", field="name")
        return found[-1]

    async def bases(self, epoch: int, ends: Sequence[int]) -> list[Manifest]:
        """The backups that a graph at these positions can be made from, the last one first."""
        fit = [
            one
            for one in await self.all()
            if (one.epoch, one.shape, one.format) == (epoch, self._shape, FORMAT)
            and len(one.positions) == len(ends)
            and all(a <= b for a, b in zip(one.positions, ends, strict=True))
        ]
        return fit[::-1]

    async def write(
        self, graph: Graph, epoch: int, positions: Sequence[int], now: int
    ) -> AsyncGenerator[int | Manifest, None]:
        """Write the files of a graph that nobody changes; yields how many lines each has, then the
        backup, which counts as one with `keep` only."""
        name = f"{to_datetime(now):%Y%m%dT%H%M%S}Z-{now % 1000:03}"
        files: list[Kept] = []
        async for file in files_of(graph, self._entities):
            kept = f"{name}/{file.kind}-{len(files):06}.jsonl.gz"
            await self.store.put(kept, file.data)
            files.append(Kept(kept, file.lines, hashlib.sha256(file.data).hexdigest()))
            yield file.lines
        digest = await fingerprint(graph, self._entities)
        made = Manifest(name, now, __version__, self._shape, epoch, list(positions), digest, files)
        yield made

    async def keep(self, made: Manifest) -> None:
        """From now on it is a backup. Raises `Unavailable`."""
        await self.store.put(f"{made.name}/{MANIFEST}", msgspec.json.encode(made))

    async def load(self, manifest: Manifest, graph: Graph) -> AsyncGenerator[int, None]:
        """Load a backup into an empty graph, or go on where that was interrupted; yields how many
        lines each file has. Until it has ended, nobody can work on the graph. Raises `Conflict` for
        a graph that is not empty, `Corrupt` for a damaged file, `Rejected` for another version."""
        if (manifest.shape, manifest.format) != (self._shape, FORMAT):
            reason = (
                f"backup {manifest.name} is of version {manifest.version}: use that, or rebuild"
            )
            raise Rejected("other_version", reason)
        await self._begin(manifest, graph)
        nodes_first = sorted(manifest.files, key=lambda one: "/links-" in one.name)
        held = await graph.position(LOADING)
        for number, file in enumerate(nodes_first, 1):
            if held is None or held[1] < number:
                following = manifest.created, number
                await graph.write(await self._write_of(file, held, following))
                held = following
            yield file.lines
        for number, offset in enumerate(manifest.positions):
            if await graph.position(number) == UNFINISHED:
                await graph.write(GraphWrite(number, UNFINISHED, (manifest.epoch, offset)))

    async def prune(self, now: int) -> list[str]:
        """Delete what is old, and what was never finished; the names. Raises `Unavailable`."""
        found = await self.all()
        kept = {one.name for one in found if one.created >= now - self._keep_ms}
        kept |= {one.name for one in found[-1:]}
        gone: set[str] = set()
        # The manifest first: without it, what is left of an interrupted deletion is no backup.
        for name in sorted(await self.store.names(), key=lambda one: not one.endswith(MANIFEST)):
            folder = name.partition("/")[0]
            old = folder < f"{to_datetime(now - DAY_MS):%Y%m%dT%H%M%S}Z"
            if _NAME.fullmatch(folder) and folder not in kept and old:
                await self.store.remove(name)
                gone.add(folder)
        return sorted(gone)

    async def _begin(self, manifest: Manifest, graph: Graph) -> None:
        loading = await graph.position(LOADING)
        for number, offset in enumerate(manifest.positions):
            held = await graph.position(number)
            if held is None and loading is None:
                await graph.write(GraphWrite(number, None, UNFINISHED))
            elif held not in {UNFINISHED, (manifest.epoch, offset)} or (
                loading is not None and loading[0] != manifest.created
            ):
                reason = "the graph is not empty: empty it, or restore into another one"
                raise Conflict("not_empty", reason)

    async def _write_of(self, file: Kept, held: Position | None, following: Position) -> GraphWrite:
        data = await self.store.get(file.name)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            reason = f"{file.name} in {self.store.url} is damaged: use another backup"
            raise Corrupt("file_damaged", reason, file=file.name)
        return await asyncio.to_thread(write_of, data, held, following)


def shape_digest(entities: Iterable[type[Entity]]) -> str:
    """What nodes and relationships look like, as a hash: other programs may see it otherwise."""
    shapes = {
        one.LABEL: [
            *((field.name, field.stored) for field in shape_of(one).fields),
            *(
                (link.type, link.to, link.reverse, shape_of(one).link_kinds(link))
                for link in one.RELATIONSHIPS
            ),
        ]
        for one in entities
    }
    return hashlib.sha256(msgspec.json.encode(shapes, order="deterministic")).hexdigest()


def opened_backups(settings: Settings, entities: Iterable[type[Entity]]) -> Backups | None:
    """The backups that the settings name, if they name a place."""
    if settings.url is None:
        return None
    return Backups(Store(settings.url), round(settings.keep_days * DAY_MS), entities)
