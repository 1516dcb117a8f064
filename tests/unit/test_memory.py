"""What a processor keeps in memory: live tasks, a few kilobytes each, and nothing of the others."""

import gc
import tracemalloc

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.state import COMMAND_MEMORY_MS, TenantState
from agent_orchestration.domain.conversations.commands import CloseConversation
from agent_orchestration.domain.tasks.commands import CancelTask
from agent_orchestration.domain.tasks.model import Task
from bench.p9_memory import MOST_BYTES, Processor, example_task
from tests.properties.contents import index_contents
from tests.unit.examples import claim, complete, fail, part, plan, say, talk, task

LIVE = 1500


def sizes(state: TenantState) -> dict[str, int]:
    """How many entities of each kind there are."""
    return {label: sum(1 for _ in state.all(cls)) for label, cls in REGISTRY.entities.items()}


def allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_live_task_takes_less_than_three_kilobytes_in_both_copies_together() -> None:
    processor = Processor()
    processor.forget_commands()
    tracemalloc.start(1)
    try:
        before = allocated()
        for number in range(LIVE):
            processor.ask(example_task(number))
        for number in range(LIVE // 4):
            processor.ask(claim(f"agent-{number % 200}"))
        processor.forget_commands()
        used = allocated() - before
    finally:
        tracemalloc.stop()
    assert sizes(processor.decided)["Task"] == sizes(processor.folded)["Task"] == LIVE
    assert used / LIVE <= MOST_BYTES


def test_nothing_is_left_of_finished_tasks() -> None:
    processor = Processor()
    states = (processor.decided, processor.folded)
    before = [*map(sizes, states)], index_contents(processor.decided)
    for number in range(300):
        processor.now += 5000
        name = f"t{number}"
        if number % 4 == 3:
            processor.ask(plan(part("a"), part("b", after=["a"]), plan_id=name))
            processor.ask(CancelTask(task_id=name))
            continue
        processor.ask(task(name))
        processor.ask(claim("agent-1"))
        processor.ask(task(f"{name}-after", after=[name]))
        if number % 4 == 0:
            processor.ask(fail(name, "agent-1"))
            processor.ask(CancelTask(task_id=name))
        else:
            processor.ask(complete(name, "agent-1"))
        processor.ask(CancelTask(task_id=f"{name}-after"))
    assert ([*map(sizes, states)], index_contents(processor.decided)) == before
    assert len(processor.decided.receipts) <= 6 * COMMAND_MEMORY_MS // 5000
    assert not any(processor.decided.has(Task, f"t{number}") for number in range(300))


def test_nothing_is_left_of_what_was_said() -> None:
    processor = Processor()
    states = (processor.decided, processor.folded)
    before = [*map(sizes, states)]
    processor.ask(talk(text="Hello"))
    for number in range(300):
        processor.ask(say(f"m{number}", by="agent-1", reply_to=number + 1))
    assert [*map(sizes, states)] == [{**one, "Conversation": 1} for one in before]
    processor.ask(CloseConversation(conversation_id="talk"))
    assert [*map(sizes, states)] == before
