"""Folding a tenant's history into Neo4j, in turns with loaders that write the same rows.

`python -m bench.fold --config FILE` prints the turns as JSON. The events are decided by the rules
and appended to Kafka before the clock starts; reading them from there is part of the fold.
"""

import argparse
import time
from pathlib import Path

import msgspec

from agent_orchestration.app import REGISTRY, open_backends, random_id, wall_clock
from agent_orchestration.backends import Backends
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.domain.capabilities.commands import DefineCapability
from agent_orchestration.pipeline.answers import Answers, ReadyHints
from agent_orchestration.pipeline.command_bus import CommandBus
from agent_orchestration.pipeline.deciding import Outcome
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.progress import Progress
from agent_orchestration.pipeline.projector import BATCH, Projector
from agent_orchestration.pipeline.replies import Replies
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import EVENTS
from bench.company import TENANT, TRADES, Desk, capabilities
from bench.raw_loader import RawLoader

AGENTS = 64
"""So many tasks are under way at a time: each agent does one."""


class Turn(msgspec.Struct, frozen=True):
    """Events a second: folded, and as those whose rows the raw loader wrote."""

    ours: float
    raw: float


class Folds(msgspec.Struct, frozen=True):
    """All turns; `rows` that a loader writes, and events a second of one transaction each."""

    events: int
    rows: int
    one_by_one: float
    turns: list[Turn]


async def append_history(backends: Backends, partition: int, count: int) -> int:
    """Decide lifecycles (create, claim and start, complete) until there are so many events, and
    append them; how many."""
    desk = Desk(REGISTRY.new_state(TENANT))
    names = {name for agent in range(TRADES) for name in capabilities(agent)}
    first = [desk.asked(DefineCapability(name=name)) for name in sorted(names)]
    for number in range(AGENTS):
        skills = tuple(SkillClaim(name) for name in capabilities(number))
        name = f"agent-{number}"
        first.append(desk.asked(RegisterAgent(agent_id=name, name=name, kind="llm", skills=skills)))
    done = await _append(backends, partition, desk.outcomes(first))
    agents = range(AGENTS)
    while done < count:
        created = desk.outcomes(desk.creations(agents))
        claimed = desk.outcomes(desk.claims(agents))
        held = [one.result.data for one in claimed]
        completed = desk.outcomes(desk.completions(held))
        desk.forget(one.result.data for one in completed)
        done += await _append(backends, partition, [*created, *claimed, *completed])
    return done


async def _append(backends: Backends, partition: int, outcomes: list[Outcome]) -> int:
    folded = [one.folded for one in outcomes if one.folded is not None]
    assert len(folded) == len(outcomes), "every command leads to an event"
    records = [one.envelope.to_record() for one in folded]
    await backends.log.append(EVENTS, partition, records)
    return len(records)


async def fold(backends: Backends, partition: int) -> float:
    """Fold all events into the empty graph; the seconds that took."""
    hints, progress, log = ReadyHints(), Progress(), backends.log
    bus = CommandBus(log, backends.blobs, REGISTRY, Answers(), hints, new_id=random_id)
    replies = Replies(log, None, delivered=bus.delivered, hints=hints, progress=progress)
    services = Services(log, backends.graph, REGISTRY, progress, bus, hints, replies, wall_clock)
    projector = Projector(services, partition)
    began = time.perf_counter()
    await projector.seek()
    while await projector.step():
        pass
    return time.perf_counter() - began


async def folds(config: Config, count: int, times: int, singles: int) -> Folds:
    """So many turns, after one that is not counted: a new server is slow."""
    partition = partition_of(TENANT, config.kafka.num_partitions)
    backends = open_backends(config)
    turns: list[Turn] = []
    try:
        await backends.start()
        count = await append_history(backends, partition, count)
        with RawLoader(config.database) as loader:
            for number in range(times + 1):
                loader.clear()
                ours = await fold(backends, partition)
                if not number:
                    loader.read()
                loader.clear()
                raw = loader.load(-(-count // BATCH))
                turns.append(Turn(count / ours, count / raw))
            loader.clear()
            seconds = loader.load_events_one_by_one(singles)
            return Folds(count, loader.rows, singles / seconds, turns[1:])
    finally:
        await backends.stop()


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.fold", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--singles", type=int, default=500)
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    found = run(folds(config, given.events, given.turns, given.singles), serving=True)
    print_json(msgspec.to_builtins(found))


if __name__ == "__main__":
    main()
