"""Lifecycles on Kafka and Neo4j, in turns with bare appends of their records from the same process.

`python -m bench.lifecycles_beside --config FILE` prints the turns as JSON.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from bench.bare_appends import Appended, BareAppends, lifecycles_in
from bench.lifecycles import CLIENTS, Rate, lifecycles, register
from bench.tenants import tenants


class Turn(msgspec.Struct, frozen=True):
    """The platform, the same records by clients that wait for each, and as fast as they go."""

    ours: Rate
    each: Appended
    bulk: float


async def turns(
    config: Config, names: Sequence[str], clients: int, count: int, times: tuple[int, int]
) -> list[Turn]:
    """So many turns, after so many that are not counted: `times` is (not counted, counted)."""
    warm, counted = times
    kafka = config.kafka
    backends = open_backends(config)
    platform = Platform(backends, process=process_name())
    bare = BareAppends(kafka.bootstrap_servers, f"{kafka.prefix}bare-", kafka.num_partitions)
    found: list[Turn] = []
    try:
        await platform.start()
        await bare.start()
        made = await register(platform, clients, names)
        for _ in range(warm + counted):
            ours = await lifecycles(platform, made, count)
            stored = await lifecycles_in(backends.log, count)
            each = await bare.one_after_the_other(stored, clients)
            found.append(Turn(ours, each, await bare.all_at_once(stored)))
    finally:
        await bare.stop()
        await platform.stop()
    return found[warm:]


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.lifecycles_beside", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--tenants", type=int, default=8)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--warm", type=int, default=1, help="turns that are not counted")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    names = tenants(given.tenants, config.kafka.num_partitions)
    times = given.warm, given.turns
    found = run(turns(config, names, given.clients, given.count, times), serving=True)
    print_json([msgspec.to_builtins(turn) for turn in found])


if __name__ == "__main__":
    main()
