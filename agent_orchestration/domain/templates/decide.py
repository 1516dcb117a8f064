"""Decisions about templates."""

from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.guards import refuse_taken
from agent_orchestration.core.messages import CommandContext, Nothing
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.model import Agent, skills_of
from agent_orchestration.domain.templates.commands import DefineTemplate, InstantiateAgent
from agent_orchestration.domain.templates.events import AgentInstantiated, TemplateDefined
from agent_orchestration.domain.templates.index import TemplateVersions
from agent_orchestration.domain.templates.model import Template, template_id


def define_template(
    state: TenantState, command: DefineTemplate, _context: CommandContext
) -> TemplateDefined | Nothing:
    """A new version; one that exists is never changed."""
    newest = state.index(TemplateVersions).newest(command.name)
    version = command.version or newest + 1
    defined = TemplateDefined(
        template_id=template_id(command.name, version),
        name=command.name,
        version=version,
        kind=command.kind,
        description=command.description,
        skills=skills_of(command.skills),
        labels=command.labels,
        max_concurrency=command.max_concurrency,
        heartbeat_seconds=command.heartbeat_seconds,
        settings=command.settings,
        previous=template_id(command.name, newest) if newest else None,
    )
    if version > newest:
        return defined
    known = state.get(Template, defined.template_id)
    if known is not None and _same(known, defined):
        return Nothing(defined.reply())
    raise Rejected(
        "version_exists",
        f"version: template {command.name} is at version {newest}; leave version out for the next"
        " one, or name a higher one",
        field="version",
        newest=newest,
    )


def instantiate_agent(
    state: TenantState, command: InstantiateAgent, context: CommandContext
) -> AgentInstantiated:
    """An agent as the template says."""
    newest = state.index(TemplateVersions).newest(command.template)
    version = command.version or newest
    template = state.get(Template, template_id(command.template, version))
    if template is None:
        at = f" version {version}" if version else ""
        raise NotFound(
            "unknown_template",
            f"template: there is no template {command.template}{at}; see list_templates",
            field="template",
        )
    agent_id = command.agent_id or context.new_id("agent")
    refuse_taken(state, Agent, agent_id)
    return AgentInstantiated(
        agent_id=agent_id,
        template=template.name,
        version=template.version,
        name=command.name or f"{template.name} {agent_id}",
        kind=template.kind,
        skills=template.skills,
        labels={**template.labels, **command.labels},
        max_concurrency=template.max_concurrency,
        heartbeat_seconds=template.heartbeat_seconds,
    )


def _same(known: Template, defined: TemplateDefined) -> bool:
    fields = (
        "kind",
        "description",
        "skills",
        "labels",
        "max_concurrency",
        "heartbeat_seconds",
        "settings",
    )
    return all(getattr(known, field) == getattr(defined, field) for field in fields)
