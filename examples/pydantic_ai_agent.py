"""An agent of Pydantic AI as a worker, which tells the platform what it used.

    pip install 'pydantic-ai-slim[openai]'
    agent-orchestration worker --module examples/pydantic_ai_agent.py

Task: `requires=[{"capability":"invoice.read"}]`, `payload={"text":"Two chairs, 40 EUR each"}`.
OPENAI_API_KEY, OPENAI_BASE_URL (Ollama, any compatible service) and OPENAI_MODEL say who answers.
"""

import os

import pydantic
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agent_orchestration.workers import HeldTask, agent


class Invoice(pydantic.BaseModel):
    """What an invoice asks for."""

    currency: str
    total: float


_provider = OpenAIProvider(
    base_url=os.environ.get("OPENAI_BASE_URL"), api_key=os.environ.get("OPENAI_API_KEY", "none")
)
_reader = Agent(
    OpenAIChatModel(os.environ.get("OPENAI_MODEL", "gpt-4-turbo"), provider=_provider),
    output_type=Invoice,
    instructions="Read the invoice. Multiply with the tool: do not do sums yourself.",
)


@_reader.tool_plain
def times(number: int, price: float) -> float:
    """A number of things at a price each."""
    return number * price


@agent(capabilities=["invoice.read"], concurrency=4)
async def read_invoice(text: str, *, task: HeldTask) -> Invoice:
    """Find out what an invoice asks for."""
    said = await _reader.run(text)
    used = said.usage
    await task.progress({"input_tokens": used.input_tokens, "output_tokens": used.output_tokens})
    return said.output
