"""Budgets: how much may be spent on calls to language models, and what was."""

from agent_orchestration.core.module import Module
from agent_orchestration.domain.budgets import commands, decide, events, evolve, model, tools
from agent_orchestration.domain.budgets.index import OpenSpends

MODULE = Module(
    "budgets",
    feed="feedback_events",
    model=model,
    commands=commands,
    events=events,
    decide=decide,
    evolve=evolve,
    tools=tools,
    evolve_indexes=(OpenSpends,),
)
