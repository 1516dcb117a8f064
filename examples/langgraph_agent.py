"""A graph of LangGraph as a worker: each node that is done is told to the platform.

    pip install 'langgraph>=1.2,<2' 'langchain-openai>=1.7,<2'
    agent-orchestration worker --module examples/langgraph_agent.py

Task: `requires=[{"capability":"text.slogan"}]`, `payload={"product":"a quiet clock"}`.
OPENAI_API_KEY, OPENAI_BASE_URL (Ollama, any compatible service) and OPENAI_MODEL say who answers.
"""

# pyright: basic, reportMissingImports=false, reportTypedDictNotRequiredAccess=false

import os
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from agent_orchestration.workers import HeldTask, agent


class Slogan(TypedDict, total=False):
    """What the nodes of the graph read and write."""

    product: str
    draft: str
    slogan: str


_model = ChatOpenAI(
    model=os.environ.get("OPENAI_MODEL", "gpt-4-turbo"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)


async def write(state: Slogan) -> Slogan:
    """Draft a slogan."""
    said = await _model.ainvoke(f"Write a slogan for {state['product']}.")
    return {"draft": str(said.content)}


async def shorten(state: Slogan) -> Slogan:
    """Make it shorter."""
    said = await _model.ainvoke(f"Say it in fewer words: {state['draft']}")
    return {"slogan": str(said.content)}


_builder = StateGraph(Slogan)
_builder.add_node("write", write)
_builder.add_node("shorten", shorten)
_builder.add_edge(START, "write")
_builder.add_edge("write", "shorten")
_builder.add_edge("shorten", END)
_graph = _builder.compile()


@agent(capabilities=["text.slogan"], concurrency=4)
async def slogan(product: str, *, task: HeldTask) -> str:
    """Find a slogan for a product."""
    state: Slogan = {"product": product}
    async for done in _graph.astream(state, stream_mode="updates"):
        for written in done.values():
            state |= written
        await task.progress(dict(state))
    return state["slogan"]
