"""The parts of the process that counts which need no broker."""

import sys
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from agent_orchestration import measures
from agent_orchestration.analytics import gauges
from agent_orchestration.analytics.acknowledging import Acknowledgements
from agent_orchestration.analytics.faust_app import OneMember, make_app
from agent_orchestration.analytics.history import TenantHistory
from agent_orchestration.analytics.windows import Fact
from agent_orchestration.app import REGISTRY
from agent_orchestration.cli import main
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.errors import Rejected
from tests.unit.domain import START, Domain
from tests.unit.examples import task

MINUTE = 60_000
FEEDS = ("agent_events", "task_events")


class Read:
    """A record that was read."""

    def __init__(self) -> None:
        self.acknowledged = False

    def ack(self) -> None:
        self.acknowledged = True


def test_only_what_is_counted_and_has_nothing_before_it_is_acknowledged() -> None:
    events = Domain().given(task("a"), task("b"), task("c")).history
    history = TenantHistory(REGISTRY, "default")
    read = [Read() for _ in events]
    waiting = Acknowledgements()
    for place, number in (("x", 0), 2), (("x", 0), 0), (("y", 0), 1):
        waiting.add(place, read[number], "default", events[number].seq)
    alien = Read()
    waiting.add(("y", 0), alien, "", 0)

    def acknowledged(*taken: int) -> list[bool]:
        for number in taken:
            history.take(events[number])
        waiting.release({"default": history})
        return [one.acknowledged for one in (*read, alien)]

    assert acknowledged(2) == [False, False, False, False]
    # The first event is counted, but it is behind one that is not.
    assert acknowledged(0) == [False, False, False, False]
    assert acknowledged(1) == [True, True, True, True]


def counted(tenant: str, at: int, amount: int) -> TenantHistory:
    history = TenantHistory(REGISTRY, tenant)
    history.windows.add(at, [Fact("tasks_created", amount, ()), Fact("queue_ms", 1500, ())])
    return history


def test_the_busiest_tenants_of_the_last_closed_minute_have_gauges_the_others_one() -> None:
    at = START - START % MINUTE
    histories = {
        name: counted(name, at, amount) for name, amount in zip("abcd", range(4), strict=True)
    }
    histories["later"] = counted("later", at + MINUTE, 9)
    with patch.object(gauges, "MOST_TENANTS", 2):
        gauges.tell(histories, at + MINUTE + 5)
        created = {
            tenant: value
            for (tenant, measure), value in measures.ANALYTICS_MINUTE.values.items()
            if measure == "tasks_created"
        }
        assert created == {"d": 3.0, "c": 2.0, "other": 1.0}
        seconds = measures.ANALYTICS_SECONDS.values["other", "queue", "0.95"]
        assert 1.5 <= seconds <= 1.6
        gauges.tell(histories, at + 3 * MINUTE)
    assert measures.ANALYTICS_MINUTE.values == measures.ANALYTICS_SECONDS.values == {}


def test_without_the_extra_the_verb_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("worker", "faust_app"):
        monkeypatch.delitem(sys.modules, f"agent_orchestration.analytics.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "faust", None)
    assert main(["analytics"]) == Rejected.exit_code
    assert "install agent-orchestration[analytics]" in capsys.readouterr().err


def test_questions_from_other_machines_need_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analytics", "--host", "0.0.0.0"])
    assert "server.token" in capsys.readouterr().err


class Cluster(ClusterMetadata):
    """Every topic has four partitions."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(4))


def assignor(tmp_path: Any) -> OneMember:
    app, _, _ = make_app(Kafka(), replicas=1, folder=tmp_path, feeds=FEEDS)
    return OneMember(app)


def members(*subscribed: tuple[str, OneMember]) -> dict[str, ConsumerProtocolMemberMetadata]:
    return {name: one.metadata({*FEEDS}) for name, one in subscribed}


def partitions(assigned: Any, member: str) -> int:
    return sum(len(numbers) for _, numbers in assigned[member].assignment)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_one_member_gets_everything_and_keeps_it_while_others_come(
    tmp_path: Any, names: tuple[str, str]
) -> None:
    first, second = (assignor(tmp_path) for _ in names)
    alone = first.assign(Cluster(), members((names[0], first)))
    assert partitions(alone, names[0]) == 4 * len(FEEDS)
    told: Any = alone[names[0]]
    first.on_assignment(told)
    both = second.assign(Cluster(), members((names[0], first), (names[1], second)))
    assert (partitions(both, names[0]), partitions(both, names[1])) == (4 * len(FEEDS), 0)
    left = second.assign(Cluster(), members((names[1], second)))
    assert partitions(left, names[1]) == 4 * len(FEEDS)
