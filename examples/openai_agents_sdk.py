"""An agent of the OpenAI Agents SDK as a worker: the SDK talks to the model and calls its tools,
the platform gives it tasks and keeps what comes of them.

    pip install openai-agents
    agent-orchestration worker --module examples/openai_agents_sdk.py

Task: `requires=[{"capability":"support.triage"}]`, `payload={"ticket":"The lift stands still"}`.
OPENAI_API_KEY, OPENAI_BASE_URL (Ollama, any compatible service) and OPENAI_MODEL say who answers.
"""

import os
from typing import Literal

import pydantic
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from agent_orchestration.workers import agent

set_tracing_disabled(True)  # or it sends what was said to OpenAI, whoever answers


class Triage(pydantic.BaseModel):
    """How urgent a ticket is, and who should see to it."""

    urgency: Literal["low", "high"]
    team: str


@function_tool
def on_duty(trade: str) -> str:
    """Which team is on duty for a trade."""
    return {"lifts": "Lift team north", "heating": "Heating night shift"}.get(trade, "Front desk")


_client = AsyncOpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"))
_triager = Agent(
    name="Triager",
    instructions="Judge how urgent the ticket is, and find out who is on duty for its trade.",
    tools=[on_duty],
    model=OpenAIChatCompletionsModel(os.environ.get("OPENAI_MODEL", "gpt-4-turbo"), _client),
    output_type=Triage,
)


@agent(capabilities=["support.triage"], concurrency=4)
async def triage(ticket: str) -> Triage:
    """Say how urgent a ticket is, and whose it is."""
    said = await Runner.run(_triager, ticket, max_turns=6)
    return said.final_output_as(Triage)
