"""Templates: what new agents are made from, in versions."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.templates import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.templates.index import TemplateVersions

MODULE = Module(
    "templates",
    feed="agent_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    indexes=(TemplateVersions,),
)
