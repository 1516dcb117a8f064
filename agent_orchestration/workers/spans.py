"""Spans of work on tasks."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from agent_orchestration import tracing
from agent_orchestration.workers.held import HeldTask


@contextmanager
def work_span(task: HeldTask) -> Generator[Callable[[str], None]]:
    """An attempt at a task: in the trace of the call that made the task, where that is known. What
    comes is to be told what became of it."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": task.agent_id,
        "agent_orchestration.task.id": task.id,
        "agent_orchestration.task.attempt": task.attempt,
    }
    with tracing.span(
        f"invoke_agent {task.agent_id}",
        attributes,
        parent=task.view.get("traceparent"),
        begins=True,
    ) as span:

        def ended(outcome: str) -> None:
            if span is None:
                return
            span.set_attribute("agent_orchestration.outcome", outcome)
            if outcome != "completed":
                tracing.fail(span, outcome)

        yield ended
