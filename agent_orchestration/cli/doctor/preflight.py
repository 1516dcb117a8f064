"""What a production needs beside an installation that works, item by item."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent_orchestration.cli.doctor import limits, serving, stores, surroundings
from agent_orchestration.cli.doctor.check import Check

if TYPE_CHECKING:
    from agent_orchestration.config import Config
    from agent_orchestration.data_folder import Owner


def items(config: "Config", owner: "Owner | None") -> Iterator[Check]:
    """Each item, in the order in which they are done. What cannot be seen from here is
    `unchecked`."""
    server = serving.RunningServer(config, owner)
    indexes, cluster = stores.tables_and_cluster(config)
    yield indexes
    yield surroundings.environment(config)
    yield cluster
    yield stores.database_pool(config)
    yield stores.cache()
    yield server.health()
    yield server.metrics()
    yield surroundings.log_aggregation(config)
    yield surroundings.alerts()
    yield stores.backup(config)
    yield surroundings.tls(config)
    yield limits.rate_limits()
    yield server.circuit_breakers()
    yield limits.resource_limits()
    yield surroundings.autoscaling()
    yield stores.disaster_recovery(config)
