"""What all tests share: the same environment everywhere, and property tests without a clock."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agent_orchestration.config import CONFIG_VARIABLE, VARIABLES, Database
from tests.services import neo4j
from tests.services.run import pytest_configure, pytest_unconfigure
from tests.summary import pytest_collection_modifyitems, pytest_terminal_summary

# Hooks: the servers that tests start end with the run, which says what it was at its end.
__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]

# The settings of whoever runs the tests are not the tests' settings.
for _name in (CONFIG_VARIABLE, *VARIABLES):
    os.environ.pop(_name, None)

# A slow machine is not a failure, and in CI the same change gets the same examples.
settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def neo4j_database() -> Iterator[Database]:
    """Settings for an empty Neo4j that no other test uses meanwhile."""
    with neo4j.emptied() as settings:
        yield settings
