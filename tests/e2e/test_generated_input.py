"""Calls generated from the tools' own schemas: whatever comes in, what comes out is typed."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.cli.tool_help import sample_arguments
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Conflict, NotFound, Rejected
from agent_orchestration.core.operations import Rebuild
from agent_orchestration.core.tool import Tool
from tests.e2e.bad_values import VALID, malformed
from tests.e2e.check_log import check_folder
from tests.e2e.server_process import check_against

GENERATED = 3000


async def outcome(platform: Platform, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer or the error, as JSON that any client can read."""
    try:
        answer = await platform.call(tool.name, arguments, Caller())
        # `"3"` for 3 is understood, but nothing that the listed schema has no place for.
        meant = tool.parse(arguments).model_dump(mode="json", exclude_unset=True)
        check_against(tool.input_schema, meant)
    except (Rejected, NotFound, Conflict) as error:
        answer = error.to_dict()
        assert "field" in answer, answer
    json.dumps(answer, allow_nan=False)
    return answer


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_generated_calls_are_answered_or_refused_with_a_typed_error(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    tools = sorted(REGISTRY.tools.values(), key=lambda tool: tool.name)
    platform = Platform(open_backends(Config(data=tmp_path)), secret="x" * 32)
    refused = accepted = 0
    try:
        await platform.start()
        for _ in range(GENERATED // 3):
            tool = chance.choice(tools)
            valid = {**sample_arguments(tool), **VALID.get(tool.name, {})}
            arguments = malformed(tool, valid, chance)
            if "seconds" in tool.arguments.model_fields:
                arguments.setdefault("seconds", 0)
            if isinstance(arguments.get("wait_seconds"), int | float):
                arguments["wait_seconds"] = min(0, arguments["wait_seconds"])
            answer = await outcome(platform, tool, arguments)
            refused, accepted = refused + ("error" in answer), accepted + ("error" not in answer)
        assert refused > GENERATED / 6
        assert accepted > 0
        assert (await platform.status())["ready"]
        steps = [step async for step in platform.operate(Rebuild())]
        assert steps[-1]["equal"]
    finally:
        await platform.stop()
    assert check_folder(tmp_path)["violations"] == []
