"""Tools about capabilities."""

from typing import Annotated

from pydantic import BaseModel, Field

from agent_orchestration.core.tool import Gateway, Output, Role, tool
from agent_orchestration.core.types import Cursor, Filter, Id, Key, Line, PageLimit, Text
from agent_orchestration.domain.capabilities.commands import DefineCapability


class CapabilityView(BaseModel):
    """A capability and how it is staffed and asked for."""

    name: str
    category: str | None = None
    description: str | None = None
    agents: int = Field(description="agents that have it, at any level")
    open_tasks: int = Field(description="unfinished tasks that require it")


class Defined(Output):
    """The capability that is now defined."""

    name: str
    seq: int


class Capabilities(Output):
    """A page of capabilities."""

    capabilities: list[CapabilityView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


@tool(title="Define a capability", role=Role.OPERATOR, toolsets=("admin",))
async def define_capability(
    gateway: Gateway,
    name: Annotated[Id, Field(description="e.g. `python` or `translation.de`")],
    category: Annotated[Line | None, Field(description="groups capabilities")] = None,
    description: Annotated[Text | None, Field(description="what it means to have it")] = None,
    idempotency_key: Key | None = None,
) -> Defined:
    """Describe a capability so that people and models know what it means.

    Optional: a capability also comes to exist by being named in an agent or a task.
    """
    command = DefineCapability(name=name, category=category, description=description)
    result = await gateway.submit(command, key=idempotency_key)
    return Defined(name=name, seq=result.seq)


@tool(
    title="List capabilities",
    role=Role.VIEWER,
    toolsets=("inspect",),
    read_only=True,
)
async def list_capabilities(
    gateway: Gateway,
    category: Annotated[Filter | None, Field(description="only this category")] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Capabilities:
    """List what the agents can do, with the number of agents and of open tasks for each."""
    rows = await gateway.ask(
        "capabilities", category=category, after_name=cursor or "", limit=limit + 1
    )
    found = [CapabilityView.model_validate(row) for row in rows[:limit]]
    more = found[-1].name if len(rows) > limit else None
    return Capabilities(capabilities=found, next_cursor=more, stale=rows.stale or None)
