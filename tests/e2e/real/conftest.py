"""One Neo4j for the installations of this process, one after the other."""

from collections.abc import Iterator

import pytest

from tests.e2e.real.installation import Installation, installed
from tests.services import neo4j


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[neo4j.Address]:
    # A module's worth of tests takes longer than others could wait for their turn.
    with neo4j.own_server(tmp_path_factory.mktemp("neo4j") / "home") as address:
        yield address


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, database: neo4j.Address
) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation"), database) as prepared:
        yield prepared
