"""Tools about templates."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from agent_orchestration.core.tool import Gateway, Output, Role, tool
from agent_orchestration.core.types import (
    Cursor,
    Filter,
    Id,
    Key,
    LabelMap,
    Line,
    PageLimit,
    Text,
    json_text,
    json_value,
)
from agent_orchestration.domain.agents.arguments import (
    Concurrency,
    Heartbeats,
    Skills,
    skill_claims,
)
from agent_orchestration.domain.agents.model import AgentKind
from agent_orchestration.domain.agents.views import AgentAnswer, SkillView, agent_answer
from agent_orchestration.domain.templates.commands import DefineTemplate, InstantiateAgent

TemplateName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 letters, digits or . _ -",
    ),
]
Version = Annotated[int | None, Field(ge=1, le=1_000_000)]


class TemplateView(BaseModel):
    """A version of a template."""

    id: str
    name: str
    version: int
    kind: str
    description: str | None = None
    capabilities: list[SkillView]
    labels: list[str] = Field(description="key=value")
    max_concurrency: int
    heartbeat_seconds: int | None = None
    settings: Any = None
    previous: str | None = Field(default=None, description="the version it evolved from")
    agents: int = Field(description="how many agents were made from it")
    defined_at: datetime


class Templates(Output):
    """A page of templates."""

    templates: list[TemplateView]
    next_cursor: str | None = Field(default=None, description="pass as `cursor` for the next page")


class DefinedTemplate(Output):
    """The version that is now defined."""

    template_id: str
    name: str
    version: int
    seq: int


@tool(title="Define a template", role=Role.OPERATOR, toolsets=("admin",))
async def define_template(
    gateway: Gateway,
    name: TemplateName,
    kind: Annotated[AgentKind, Field(description="what carries out the agents' tasks")],
    capabilities: Skills,
    version: Annotated[Version, Field(description="default: the next one")] = None,
    description: Annotated[Text | None, Field(description="what such agents are for")] = None,
    labels: LabelMap | None = None,
    max_concurrency: Concurrency = 1,
    heartbeat_seconds: Heartbeats = None,
    settings: Annotated[Any, Field(description="JSON for whatever runs such agents")] = None,
    idempotency_key: Key | None = None,
) -> DefinedTemplate:
    """Define what new agents are made from. A version never changes; defining the name again makes
    the next version, which remembers the one before."""
    command = DefineTemplate(
        name=name,
        version=version,
        kind=kind,
        description=description,
        skills=skill_claims(capabilities),
        labels=labels or {},
        max_concurrency=max_concurrency,
        heartbeat_seconds=heartbeat_seconds,
        settings=json_text(settings, "settings"),
    )
    result = await gateway.submit(command, key=idempotency_key)
    return DefinedTemplate(**result.data, seq=result.seq)


@tool(title="Make an agent from a template", role=Role.ADMIN, toolsets=("admin",))
async def instantiate_agent(
    gateway: Gateway,
    template: TemplateName,
    version: Annotated[Version, Field(description="default: the newest")] = None,
    id: Annotated[Id | None, Field(description="chosen for you if left out")] = None,
    name: Annotated[Line | None, Field(description="for people")] = None,
    labels: LabelMap | None = None,
    idempotency_key: Key | None = None,
) -> AgentAnswer:
    """Register an agent with the capabilities and limits of a template."""
    command = InstantiateAgent(
        template=template, version=version, agent_id=id, name=name, labels=labels or {}
    )
    result = await gateway.submit(command, key=idempotency_key)
    return AgentAnswer(**await agent_answer(gateway, result.data["agent_id"], result.seq))


@tool(title="List templates", role=Role.VIEWER, toolsets=("admin", "inspect"), read_only=True)
async def list_templates(
    gateway: Gateway,
    name: Annotated[Filter | None, Field(description="only versions of this one")] = None,
    template_id: Annotated[
        Filter | None, Field(description="only this version, e.g. `reviewer:2`")
    ] = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Templates:
    """List templates with all their versions, and how many agents were made from each."""
    rows = await gateway.ask(
        "templates",
        template=name,
        template_id=template_id,
        after_id=cursor or "",
        limit=limit + 1,
    )
    found = [_view(row) for row in rows[:limit]]
    more = found[-1].id if len(rows) > limit else None
    return Templates(templates=found, next_cursor=more, stale=rows.stale or None)


def _view(row: dict[str, Any]) -> TemplateView:
    previous = row["previous_ids"][0] if row["previous_ids"] else None
    view = TemplateView.model_validate(
        {**row, "settings": json_value(row["settings"]), "previous": previous}
    )
    view.capabilities.sort(key=lambda skill: skill.name)
    return view
