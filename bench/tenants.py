"""Names of tenants."""

import itertools
from collections.abc import Sequence

from agent_orchestration.pipeline.partitions import partition_of


def tenants(count: int, partitions: int) -> Sequence[str]:
    """So many, as many in each partition as in any other, or one more."""
    found: dict[int, list[str]] = {number: [] for number in range(partitions)}
    wanted = -(-count // partitions)
    for number in itertools.count():
        name = f"tenant-{number}"
        found[partition_of(name, partitions)].append(name)
        if all(len(names) >= wanted for names in found.values()):
            break
    return [found[number % partitions][number // partitions] for number in range(count)]
