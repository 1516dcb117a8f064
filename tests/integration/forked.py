"""Histories that fork: what a second owner would have decided on the same events."""

import random
from collections.abc import Iterable, Sequence

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.log import Log
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, command_body
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline.deciding import Asked, Decider
from agent_orchestration.pipeline.partitions import partition_of
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS
from tests.unit.domain import replay

History = list[EventEnvelope]


def branch(tenant: str, before: Sequence[EventEnvelope], length: int, name: str) -> History:
    """The history and so many events more, which nobody of another name would decide."""
    state, decider = replay(before, tenant), Decider(REGISTRY)
    made = [*before]
    for _ in range(length):
        epoch, number = max(state.position[0], 1), state.position[1] + 1
        command = CreateTask(title=f"{name} {number}")
        envelope = CommandEnvelope(
            id=f"{name}-{number:012}",
            tenant=tenant,
            type="CreateTask",
            body=command_body(command),
            principal=Principal("ann", "operator"),
            correlation="c",
        )
        at = max(state.at, 1_800_000_000_000) + 1
        outcome = decider.decide(state, Asked(envelope, command, (epoch, number), at))
        assert outcome.folded is not None
        made.append(outcome.folded.envelope)
    return made


def forked(chance: random.Random, tenant: str) -> tuple[History, History]:
    """A history, and all that is in the log: forks of up to three events, some of which fork again,
    before, after and between the events that win; some come twice."""
    history = branch(tenant, [], chance.randrange(6, 14), "kept")
    losers: list[History] = []
    for number in range(chance.randrange(4)):
        base = chance.choice([history, *losers])
        length = chance.randrange(1, 4)
        most = min(len(base), len(history) - length - 1)
        losers.append(branch(tenant, base[: chance.randrange(most + 1)], length, f"other{number}"))
    return history, merged(chance, [history, *losers])


def merged(chance: random.Random, branches: Iterable[History]) -> History:
    """The events of all branches, each after its predecessor, but in no other order."""
    rest: list[History] = [list(one) for one in branches]
    met: dict[str, EventEnvelope] = {}
    found: History = []
    while rest:
        one = chance.choice(rest)
        event = one.pop(0)
        if event.digest not in met or chance.random() < 0.1:
            found.append(event)
        met[event.digest] = event
        if chance.random() < 0.1:
            found.append(chance.choice([*met.values()]))
        rest = [left for left in rest if left]
    return found


async def append(log: Log, events: Iterable[EventEnvelope]) -> None:
    """Put them in the log behind everybody's back."""
    for event in events:
        await log.append(EVENTS, partition_of(event.tenant, PARTITIONS), [event.to_record()])
