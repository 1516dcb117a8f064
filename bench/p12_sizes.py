"""P12: bytes that an installation keeps of each event: on the log, in the graph, in the archive and
in a backup; and the memory of making one."""

import json
from pathlib import Path
from typing import Any

import msgspec

from bench.engines import Engines, engines
from bench.lifecycles import CLIENTS
from bench.processes import ROOT, answer, peak
from bench.results import Figure, Row, compared, not_measured
from tests.services.jars import NotHere

#: Lifecycles by clients that work at once: their records are written many at a time, which
#: compress; and by one, whose records are written one by one.
_COUNTS, _QUICK_COUNTS = {CLIENTS: 4000, 1: 300}, {CLIENTS: 64, 1: 8}
#: Events of two histories. Below the first, a process has not what it needs of any history yet.
_HISTORIES, _QUICK_HISTORIES = (20_000, 60_000), (300, 600)


def measure(quick: bool) -> list[Row]:
    """Many clients first, while the graph's store is as new: what is deleted leaves holes."""
    counts = _QUICK_COUNTS if quick else _COUNTS
    try:
        with engines(quick=quick) as servers:
            file = servers.installation(partitions=1)
            rows = [*_graph(servers, file, counts[CLIENTS]), *_log(servers, file, CLIENTS)]
            rows += _kept(file)
            file = servers.installation(partitions=1)
            _work(file, 1, counts[1])
            return [*rows, *_log(servers, file, 1), _memory(servers, quick)]
    except NotHere as error:
        return [not_measured("P12", "bytes of an event", "B", str(error))]


def _work(file: Path, clients: int, count: int) -> None:
    words = ("--config", str(file), "--clients", str(clients), "--count", str(count))
    answer(ROOT, "-m", "bench.lifecycles", *words)


def _graph(servers: Engines, file: Path, count: int) -> list[Row]:
    """What the work adds to the graph."""
    before = servers.graph_size()
    _work(file, CLIENTS, count)
    after = servers.graph_size()
    events, stored = _events(file), after.stored - before.stored
    nodes = after.nodes - before.nodes
    links = after.relationships - before.relationships
    return [
        _row("node in the graph's store, with its properties and relationships", stored / nodes),
        _row("event in the graph's store, with what it is about", stored / events),
        _row("nodes of an event", nodes / events, "1"),
        _row("relationships of an event", links / events, "1"),
    ]


def _log(servers: Engines, file: Path, clients: int) -> list[Row]:
    """Both topics that have a record for each event; a command without one is rare here."""
    events, by = _events(file), f"{clients} clients" if clients > 1 else "1 client"
    return [
        _row(f"{one} on the broker's disk, {by}", servers.log_bytes(file, topic) / events)
        for topic, one in (("events", "event"), ("commands", "command"))
    ]


def _kept(file: Path) -> list[Row]:
    """An archive and a backup of all of it."""
    file, events = _keeping(file), _events(file)
    _verb(file, "archive")
    _verb(file, "backup", "create")
    places = (("archive", "the archive"), ("backups", "a backup"))
    return [
        _row(f"event in {where}", _bytes(file.with_name(f"{file.stem}-{name}")) / events)
        for name, where in places
    ]


def _memory(servers: Engines, quick: bool) -> Row:
    """What a backup of a longer history takes, which makes two graphs, one after the other."""
    events: list[int] = []
    peaks: list[int] = []
    for count in _QUICK_HISTORIES if quick else _HISTORIES:
        file = _keeping(servers.installation(partitions=1))
        words = ("--config", str(file), "append", str(count))
        events.append(int(answer(ROOT, "-m", "bench.rebuild", *words)))
        peaks.append(peak(ROOT, *_words(file, "backup", "create")))
    more = (peaks[1] - peaks[0]) / (events[1] - events[0])
    return _row("memory of a backup that is made, for each event more", more)


def _keeping(file: Path) -> Path:
    """The settings, in another file, with an archive and backups."""
    keeping = file.with_name(f"{file.stem}-keeping.yaml")
    places = {
        name: {"url": str(file.with_name(f"{keeping.stem}-{name}"))}
        for name in ("archive", "backups")
    }
    settings = msgspec.json.decode(file.read_bytes())
    keeping.write_bytes(msgspec.json.encode({**settings, **places}))
    return keeping


def _events(file: Path) -> int:
    return _verb(file, "verify")["events"]


def _verb(file: Path, *words: str) -> Any:
    return json.loads(answer(ROOT, *_words(file, *words)))


def _words(file: Path, *words: str) -> tuple[str, ...]:
    return ("-m", "agent_orchestration", *words, "--json", "--config", str(file))


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _row(what: str, found: float, unit: str = "B") -> Row:
    return compared("P12", what, unit, (found, None), durability="–")


FIGURE = Figure("P12", "bytes that are kept of an event", measure)
