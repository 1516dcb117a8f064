"""A function as an agent.

    agent-orchestration worker --module examples/word_count.py --data DIR

carries out tasks such as

    agent-orchestration call create_task 'title=Count' 'requires=[{"capability":"text.count"}]'
        'payload={"text":"to be or not to be"}' --data DIR
"""

from collections import Counter

import pydantic

from agent_orchestration.workers import HeldTask, TaskError, agent


class Words(pydantic.BaseModel):
    """How often the most used words occur, and how many words there are."""

    total: int
    most_used: dict[str, int]


@agent(capabilities=["text.count"], concurrency=4)
async def word_count(text: str, most: int = 3, *, task: HeldTask) -> Words:
    """Count the words of a text."""
    if not text.strip():
        raise TaskError("there are no words in it", error_type="empty", retryable=False)
    words = text.lower().split()
    await task.progress({"words": len(words)})
    return Words(total=len(words), most_used=dict(Counter(words).most_common(most)))
