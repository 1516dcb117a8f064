"""Users: local accounts, for installations without an identity provider, and their sessions."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.users import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.users.index import OpenSessions

MODULE = Module(
    "users",
    feed="agent_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    indexes=(OpenSessions,),
)
