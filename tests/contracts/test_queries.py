"""Every named question runs on every graph, and answers with aliased columns."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY, Platform
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.module import REQUIRED

CALLER = Caller()
REQUIRED_VALUES = {
    "task_id": "second",
    "agent_id": "ada",
    "ids": ["first", "second"],
    "names": ["python"],
    "levels": {"python": 0.5},
}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    platform = Platform(Config(data=tmp_path))
    await platform.start()
    await platform.call(
        "register_agent",
        {"id": "ada", "name": "Ada", "kind": "human", "capabilities": [{"name": "python"}]},
        CALLER,
    )
    python = [{"capability": "python", "level": 0.5}]
    for arguments in (
        {"id": "first", "title": "First", "requires": python},
        {"id": "second", "title": "Second", "depends_on": ["first"]},
        {"id": "third", "title": "Third", "requires": [{"capability": "unknown"}]},
    ):
        await platform.call("create_task", arguments, CALLER)
    await platform.call("claim_task", {"agent_id": "ada"}, CALLER)
    yield platform
    await platform.stop()


@pytest.mark.parametrize("name", sorted(REGISTRY.queries))
async def test_a_named_question_runs(platform: Platform, name: str) -> None:
    query = REGISTRY.queries[name]
    params = {
        parameter: REQUIRED_VALUES[parameter]
        for parameter, default in query.parameters.items()
        if default is REQUIRED
    }
    answer = await platform.call("run_named_query", {"name": name, "params": params}, CALLER)
    assert query.sentence.endswith(".")
    assert all(column.isidentifier() for column in answer["columns"])


async def test_a_question_that_is_not_there_is_refused_by_name(platform: Platform) -> None:
    with pytest.raises(Exception, match="known: agent, agent_load"):
        await platform.call("run_named_query", {"name": "nonsense"}, CALLER)
