"""A node that is seen while it is being written is looked at again."""

from typing import Any

import pydantic
import pytest

from agent_orchestration.core.tool import Output, Role, Tool
from agent_orchestration.core.torn_reads import TORN_READS, read_whole


class Seen(Output):
    status: str


class Rows:
    """The status is absent as often as told."""

    def __init__(self, torn: int) -> None:
        self.torn = torn

    async def look(self, gateway: Any) -> Seen:
        self.torn -= 1
        return Seen.model_validate({"status": None if self.torn >= 0 else "ready"})


async def test_a_torn_read_is_repeated_until_it_is_whole() -> None:
    assert (await read_whole(Rows(TORN_READS).look)(None)).status == "ready"


async def test_a_row_that_never_fits_is_an_error() -> None:
    with pytest.raises(pydantic.ValidationError):
        await read_whole(Rows(TORN_READS + 1).look)(None)


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_tool_that_only_reads_is_run_again_and_one_that_writes_is_not(
    read_only: bool,
) -> None:
    rows = Rows(1)

    async def look(gateway: Any) -> Seen:
        """Look at it."""
        return await rows.look(gateway)

    tool = Tool(
        look,
        title="Look",
        role=Role.VIEWER,
        toolsets=(),
        read_only=read_only,
        destructive=False,
    )
    gateway: Any = None
    if read_only:
        assert await tool.call(gateway, {}) == {"status": "ready"}
    else:
        with pytest.raises(pydantic.ValidationError):
            await tool.call(gateway, {})
