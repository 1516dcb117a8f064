"""What facts about templates change."""

from agent_orchestration.core.messages import EventContext
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent, Origin
from agent_orchestration.domain.capabilities.model import ensure_capability
from agent_orchestration.domain.templates.events import AgentInstantiated, TemplateDefined
from agent_orchestration.domain.templates.model import Template, template_id


def template_defined(state: TenantState, event: TemplateDefined, context: EventContext) -> None:
    """The version exists, and so do the capabilities it names."""
    for skill in event.skills:
        ensure_capability(state, skill.capability)
    state.add(
        Template(
            id=event.template_id,
            name=event.name,
            version=event.version,
            kind=event.kind,
            description=event.description,
            skills=event.skills,
            previous=event.previous,
            labels=event.labels,
            max_concurrency=event.max_concurrency,
            heartbeat_seconds=event.heartbeat_seconds,
            settings=event.settings,
            defined_at=context.at,
        )
    )


def agent_instantiated(state: TenantState, event: AgentInstantiated, context: EventContext) -> None:
    """The agent exists, and one can see what it was made from."""
    state.add(
        Agent(
            id=event.agent_id,
            name=event.name,
            kind=event.kind,
            skills=event.skills,
            labels=event.labels,
            max_concurrency=event.max_concurrency,
            heartbeat_seconds=event.heartbeat_seconds,
            registered_at=context.at,
            seen_at=context.at,
            origin=Origin(
                template_id(event.template, event.version), event.template, event.version
            ),
        )
    )
