"""What the README lets a newcomer type, on Kafka and Neo4j."""

import pytest

from tests.e2e.program import wait_for
from tests.e2e.real.installation import Installation
from tests.e2e.test_readme import Verb, test_by_hand_ends_with_the_printed_answer

__all__ = ["test_by_hand_ends_with_the_printed_answer"]
pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture
def verb(installation: Installation) -> Verb:
    processor = installation.processor("processor")
    wait_for(processor.ready, "the processor to be ready")
    return installation.run
