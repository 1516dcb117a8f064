"""Lifecycles on Kafka and Neo4j, in turns with bare appends of their records from the same process.

`python -m bench.lifecycles_beside --config FILE` prints the turns as JSON.
"""

from collections.abc import Sequence

import msgspec

from agent_orchestration.app import Platform, open_backends, process_name
from agent_orchestration.config import Config
from bench.bare_appends import Appended, BareAppends, lifecycles_in
from bench.lifecycles import Rate, lifecycles, register
from bench.turns import print_turns


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


if __name__ == "__main__":
    print_turns("bench.lifecycles_beside", __doc__, turns)
