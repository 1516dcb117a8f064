"""Preflight: what keeps the data, and what brings it back."""

import time
from typing import TYPE_CHECKING

from agent_orchestration.cli.doctor.check import Check
from agent_orchestration.cli.session import run
from agent_orchestration.core.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_orchestration.backends.graph.migrations import Migration
    from agent_orchestration.backends.log.kafka.topics import TopicReport
    from agent_orchestration.config import Config

TABLES, CLUSTER = "tables and indexes", "bus cluster"
SAFE_REPLICAS = 3
"""One may be missing while records are taken, and none is lost with it."""
OLD_BACKUP_HOURS = 26.0
"""A daily one that is late by more than it takes."""


def tables_and_cluster(config: "Config") -> tuple[Check, Check]:
    """Topics, constraints and indexes as the program needs them, and how many copies there are."""
    if config.backend == "embedded":
        made = "made in the data folder whenever log and graph are opened"
        one = "embedded: one process, one copy on one disk"
        remedy = "set backend: kafka-neo4j where one machine must not be missed"
        return Check(TABLES, "ok", made), Check(CLUSTER, "warn", one, remedy)
    from agent_orchestration.cli.topics import described  # noqa: PLC0415 (start-up time)

    try:
        reports = described(config)
    except PlatformError as error:
        seen = Check(CLUSTER, "fail", error.reason, "see that Kafka runs and may be looked at")
        return seen._replace(name=TABLES), seen
    return _tables(config, reports), _cluster(reports)


def _tables(config: "Config", reports: "Sequence[TopicReport]") -> Check:
    missing = [one.name for one in reports if one.state == "missing"]
    if missing:
        detail = f"no topics {', '.join(missing)}"
        return Check(TABLES, "fail", detail, "agent-orchestration topics create")
    try:
        applied, pending = run(_migrations(config))
    except PlatformError as error:
        return Check(TABLES, "fail", error.reason, "see that Neo4j runs and lets the user in")
    if pending:
        names = ", ".join(f"{one.number:04} {one.name}" for one in pending)
        detail = f"the graph lacks the migrations {names}"
        return Check(TABLES, "warn", detail, "agent-orchestration schema migrate")
    detail = f"{len(reports)} topics, {applied} migrations"
    if drift := [one.name for one in reports if one.drift]:
        remedy = "agent-orchestration topics describe says what to set"
        return Check(TABLES, "warn", f"{detail}; not as planned: {', '.join(drift)}", remedy)
    return Check(TABLES, "ok", detail)


async def _migrations(config: "Config") -> "tuple[int, list[Migration]]":
    """How many the graph has, and which it lacks."""
    from agent_orchestration.backends.graph.migrations import (  # noqa: PLC0415 (start-up time)
        packaged_migrations,
    )
    from agent_orchestration.backends.graph.neo4j.migrator import migrator  # noqa: PLC0415

    async with migrator(config.database, packaged_migrations()) as found:
        return len(await found.applied()), await found.pending()


def _cluster(reports: "Sequence[TopicReport]") -> Check:
    fewest = min(reports, key=lambda one: one.replicas)
    detail = f"{fewest.replicas} copies of {fewest.name}, which has the fewest"
    if fewest.replicas >= SAFE_REPLICAS:
        return Check(CLUSTER, "ok", detail)
    remedy = f"have {SAFE_REPLICAS} brokers, and kafka.replication_factor: {SAFE_REPLICAS} before"
    return Check(CLUSTER, "warn", detail, f"{remedy} the topics are made")


def database_pool(config: "Config") -> Check:
    """How many connections to the graph a process may have."""
    name, database = "database pool", config.database
    if config.backend == "embedded":
        return Check(name, "ok", "none is needed: the graph is in the process")
    detail = (
        f"at most {database.pool_size} connections to {database.uri} of each process, each made"
        f" within {database.connection_timeout} ms"
    )
    return Check(name, "ok", detail)


def cache() -> Check:
    """There is no cache to run."""
    detail = "none is needed: what decisions need is in the memory of the processors"
    return Check("cache", "ok", detail)


def backup(config: "Config") -> Check:
    """How old the last backup of the graph is."""
    name = "backup"
    if config.backups.url is None:
        remedy = "set backups.url, and run agent-orchestration backup create every day"
        return Check(name, "warn", "no place is set for backups of the graph", remedy)
    from agent_orchestration.cli.operations import operated  # noqa: PLC0415 (start-up time)
    from agent_orchestration.core.operations import ListBackups  # noqa: PLC0415

    try:
        found = operated(config, ListBackups())
    except PlatformError as error:
        return Check(name, "fail", error.reason, "see that backups.url can be read from here")
    if not found["backups"]:
        detail = f"none in {found['place']} yet"
        return Check(name, "warn", detail, "agent-orchestration backup create")
    last = found["backups"][-1]
    hours = (time.time() - last["created"] / 1000) / 3600
    detail = f"{last['name']} in {found['place']}, {hours:.1f} hours old"
    if hours <= OLD_BACKUP_HOURS:
        return Check(name, "ok", detail)
    return Check(name, "warn", detail, "run agent-orchestration backup create every day")


def disaster_recovery(config: "Config") -> Check:
    """Whether the log outlives the place where it is. Nobody but people can say whether it was
    tried to go on from there."""
    name = "disaster recovery"
    if config.archive.url is None:
        remedy = "set archive.url to a place elsewhere, or copy log and blobs there"
        return Check(name, "warn", "the log, which is the truth, is kept in one place", remedy)
    detail = f"events are archived at {config.archive.url}"
    remedy = "see that it is elsewhere, as well as the blobs, and practise restore from it"
    return Check(name, "unchecked", detail, remedy)
