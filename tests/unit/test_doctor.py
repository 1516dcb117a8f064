"""What the preflight finds, from what it looks at."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.backends.log.kafka.topics import TopicReport
from agent_orchestration.cli import topics
from agent_orchestration.cli.doctor import limits, stores, surroundings
from agent_orchestration.cli.doctor.check import Check
from agent_orchestration.config import Config
from agent_orchestration.core.errors import Unavailable

SHARED: dict[str, Any] = {"backend": "kafka-neo4j", "database": {"password": "p"}}


def report(name: str, state: str = "ok", replicas: int = 3, *drift: str) -> TopicReport:
    return TopicReport(name, "", state, 4, replicas, {}, [*drift])


def found(
    monkeypatch: pytest.MonkeyPatch, reports: list[TopicReport], lacks: list[Any]
) -> tuple[Check, Check]:
    """What is found of a cluster with these topics, and a graph that lacks these migrations."""

    async def migrations(_: Config) -> tuple[int, list[Any]]:
        return 2, lacks

    def described(_: Config) -> list[TopicReport]:
        return reports

    monkeypatch.setattr(topics, "described", described)
    monkeypatch.setattr(stores, "_migrations", migrations)
    return stores.tables_and_cluster(Config.model_validate(SHARED))


def test_topics_and_migrations_are_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    tables, cluster = found(monkeypatch, [report("commands"), report("events")], [])
    assert (tables.state, tables.detail) == ("ok", "2 topics, 2 migrations")
    assert cluster.state == "ok"
    tables, _ = found(monkeypatch, [report("commands", "missing", 0)], [])
    assert (tables.state, tables.remedy) == ("fail", "agent-orchestration topics create")
    tables, _ = found(monkeypatch, [report("events", "drift", 3, "retention.ms is 1")], [])
    assert tables.state == "warn"
    assert "not as planned: events" in tables.detail


def test_a_topic_with_few_copies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _, cluster = found(monkeypatch, [report("commands"), report("events", replicas=1)], [])
    assert (cluster.state, cluster.detail) == ("warn", "1 copies of events, which has the fewest")
    assert "replication_factor: 3" in cluster.remedy


def test_a_cluster_that_cannot_be_reached_fails_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Config) -> list[TopicReport]:
        raise Unavailable("log_unavailable", "no broker answers")

    monkeypatch.setattr(topics, "described", away)
    checks = stores.tables_and_cluster(Config.model_validate(SHARED))
    assert [(one.name, one.state) for one in checks] == [
        ("tables and indexes", "fail"),
        ("bus cluster", "fail"),
    ]
    assert {one.detail for one in checks} == {"no broker answers"}


@pytest.mark.parametrize(
    ("files", "memory", "processors"),
    [
        ({"memory.max": "536870912\n", "cpu.max": "150000 100000\n"}, "512 MB", "1.5"),
        ({"memory.max": "max\n", "cpu.max": "max 100000\n"}, "no limit", "no limit"),
        (
            {
                "memory/memory.limit_in_bytes": "1073741824",
                "cpu/cpu.cfs_quota_us": "200000",
                "cpu/cpu.cfs_period_us": "100000",
            },
            "1,024 MB",
            "2",
        ),
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
            },
            "no limit",
            "no limit",
        ),
        ({}, "no limit", "no limit"),
    ],
)
def test_limits_are_those_of_the_group_of_processes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    memory: str,
    processors: str,
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(limits, "_most_files", lambda: 65536)
    check = limits.resource_limits(tmp_path)
    assert f"{memory} of memory, {processors} of processors, 65536 of open files" in check.detail
    assert check.state == ("warn" if memory == "no limit" else "ok")
    assert bool(check.remedy) == (check.state == "warn")
    monkeypatch.setattr(limits, "_most_files", lambda: 1024)
    assert "ulimit" in limits.resource_limits(tmp_path).remedy


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, None),
        (SHARED, None),
        (SHARED | {"kafka": {"bootstrap_servers": "a:9092, 127.0.0.1:9092"}}, "Kafka at a"),
        (
            SHARED
            | {"kafka": {"bootstrap_servers": "a:9092", "security_protocol": "SSL"}}
            | {"database": {"uri": "bolt://b:7687", "password": "p"}},
            "Neo4j at b",
        ),
        (SHARED | {"database": {"uri": "neo4j+s://b:7687", "password": "p"}}, None),
        ({"openai": {"base_url": "http://c/v1"}}, "the model at c"),
        ({"openai": {"base_url": "https://c/v1"}}, None),
        ({"server": {"url": "http://[::1]:8000"}}, None),
    ],
)
def test_what_leaves_the_machine_in_the_clear_is_named(
    settings: dict[str, Any], named: str | None
) -> None:
    check = surroundings.tls(Config.model_validate(settings))
    assert check.state == ("unchecked" if named is None else "warn")
    assert named is None or check.detail.endswith(f"machines: {named}")


def test_what_no_place_is_set_for_is_no_pass(tmp_path: Path) -> None:
    config = Config(data=tmp_path)
    assert stores.backup(config).state == "warn"
    assert stores.disaster_recovery(config).state == "warn"
    assert surroundings.environment(config).state == "warn"
    archived = Config.model_validate({"data": tmp_path, "archive": {"url": "/elsewhere"}})
    assert stores.disaster_recovery(archived).state == "unchecked"
