"""Consumer groups: their members and positions, and setting positions back."""

import os
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log.kafka.connection import Connection
from agent_orchestration.backends.log.kafka.errors import check
from agent_orchestration.backends.log.kafka.positions import Positions
from agent_orchestration.backends.log.kafka.reader import Reader
from agent_orchestration.core.errors import NotFound, Rejected

_CLIENT = re.compile(r"ao-(\d+)-")


def client_id(rules: int) -> str:
    """What this process calls itself: other members and operators see it."""
    return f"ao-{rules}-{socket.gethostname()}-{os.getpid()}"


def is_here(client: str) -> bool:
    """Whether the client that calls itself so is a process on this host."""
    found = _CLIENT.match(client)
    return found is not None and client[found.end() :].rpartition("-")[0] == socket.gethostname()


class Member(msgspec.Struct, frozen=True):
    """A member of a group. `partitions` by topic; `rules` is 0 for a client that is not ours."""

    client: str
    host: str
    rules: int
    partitions: dict[str, list[int]]


class Group(msgspec.Struct, frozen=True):
    """A group and its members. `state` in Kafka's words: Stable, Empty, PreparingRebalance …"""

    name: str
    state: str
    members: list[Member]


class GroupPosition(msgspec.Struct, frozen=True):
    """How far a group is in a partition. `epoch` is None for a position set by another program;
    `lag` counts the records from the position to the end."""

    topic: str
    partition: int
    position: int
    epoch: int | None
    first: int
    end: int
    lag: int


async def list_groups(connection: Connection, prefix: str = "") -> list[Group]:
    """The groups whose names begin with the prefix, in order. Raises `Unavailable`."""

    async def ask() -> set[str]:
        names: set[str] = set()
        for broker in connection.client.cluster.brokers():
            answer = await connection.ask(broker.nodeId, ListGroupsRequest())
            check(answer.error_code)
            names |= {name for name, *_ in answer.groups if name.startswith(prefix)}
        return names

    names = await connection.retrying(ask, "listing the consumer groups")
    return [await find_group(connection, name) for name in sorted(names)]


async def find_group(connection: Connection, name: str) -> Group:
    """A group, `Dead` where there is none of that name. Raises `Unavailable`."""

    async def ask() -> Group:
        # One at a time: aiokafka cannot read the answer for several.
        answer = await connection.ask(
            await connection.coordinator(name), DescribeGroupsRequest([name])
        )
        [(code, _, state, _, _, members, *_)] = answer.groups
        check(code)
        return Group(name, state, [_member(*entry) for entry in members])

    return await connection.retrying(ask, f"looking at group {name}")


def _member(_id: str, client: str, host: str, _metadata: Any, assignment: bytes) -> Member:
    found = _CLIENT.match(client)
    partitions: dict[str, list[int]] = {}
    if assignment:
        decoded = ConsumerProtocolMemberAssignment.decode(assignment)
        for topic, partition in decoded.partitions():
            partitions.setdefault(topic, []).append(partition)
    return Member(client, host, int(found[1]) if found else 0, partitions)


async def positions_of(connection: Connection, group: str) -> list[GroupPosition]:
    """The positions of a group with the bounds of their partitions. Raises `Unavailable`."""
    found = await Positions(connection).committed(group)
    reader = Reader(connection, {})
    await connection.watch(place.topic for place in found)
    positions: list[GroupPosition] = []
    for place, (offset, text) in sorted(found.items()):
        first, end = await reader.bounds(place)
        epoch = int(text) if text.isdecimal() else None
        lag = max(end - max(offset, first), 0)
        positions.append(GroupPosition(*place, offset, epoch, first, end, lag))
    return positions


async def without_members(connection: Connection, name: str, aim: str) -> Group:
    """The group. Raises `Rejected` while it has members, which are to be stopped before `aim`."""
    group = await find_group(connection, name)
    if group.members:
        clients = ", ".join(member.client for member in group.members)
        reason = f"group {name} has members ({clients}): stop them, then {aim}"
        raise Rejected("group_active", reason, group=name)
    return group


def refuse_unknown(group: Group, positions: Sequence[GroupPosition]) -> None:
    """Raises `NotFound` for a group that has neither members nor positions."""
    if not group.members and not positions:
        raise NotFound("group", f"there is no group {group.name}: list them", field="group")


async def reset(connection: Connection, group: str) -> list[GroupPosition]:
    """Set all positions of a group to the first records kept; those from before. Its readers see
    everything again, and must be able to.

    Raises `NotFound` for a group without positions, `Rejected` while it has members, `Unavailable`.
    """
    found = await without_members(connection, group, "reset it")
    before = await positions_of(connection, group)
    refuse_unknown(found, before)
    await Positions(connection).commit(group, dict(_to_first(before)))
    return before


def _to_first(
    positions: Iterable[GroupPosition],
) -> Iterable[tuple[TopicPartition, tuple[int, str]]]:
    for one in positions:
        text = "" if one.epoch is None else str(one.epoch)
        yield TopicPartition(one.topic, one.partition), (one.first, text)
