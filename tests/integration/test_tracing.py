"""One trace for what follows from a call, and none of its secrets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind
from pydantic import SecretStr

from agent_orchestration import tracing
from agent_orchestration.backends.llm.openai import OpenAIChatModel
from agent_orchestration.config import OpenAI
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import NotFound, Rejected, Unavailable
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.pipeline.topology import COMMANDS
from agent_orchestration.resilience import CircuitBreakerRegistry
from agent_orchestration.workers import agent
from agent_orchestration.workers.held import HeldTask, TaskError
from agent_orchestration.workers.worker import Worker
from tests.integration.world import World, until
from tests.stand_in import stand_in
from tests.traced import NOT_RECORDED, TRACE, TRACEPARENT, Spans, span_id, trace_of, traced

SECRET = "swordfish"
PLAN: dict[str, Any] = {
    "id": "p",
    "title": f"The {SECRET}",
    "description": SECRET,
    "tasks": [{"id": "t", "title": SECRET, "payload": {"token": SECRET}}],
}
SUBMITTED = {
    (None, "tools/call submit_plan"),
    ("tools/call submit_plan", "send commands"),
    ("send commands", "decide commands"),
    ("decide commands", "send events"),
    ("send commands", "fold events"),
}
WORKED = {
    ("send commands", "invoke_agent ann"),
    ("invoke_agent ann", "tools/call get_task"),
    ("invoke_agent ann", "tools/call complete_task"),
    ("tools/call complete_task", "send commands"),
}
TRACED = Caller(traceparent=TRACEPARENT)


@asynccontextmanager
async def working(world: World, handler: Any) -> AsyncGenerator[Worker]:
    """A worker on the platform for the agent ann."""
    worker = Worker(world.platform, "ann", handler)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.drain()
        worker.stop()
        await running


def of(spans: Spans, trace: str) -> list[str]:
    return [span.name for span in spans.ended() if trace_of(span) == trace]


async def test_a_plan_and_the_work_on_it_are_one_trace(tmp_path: Path) -> None:
    async def handler(task: HeldTask) -> Any:
        with pytest.raises(NotFound):
            await worker.calls("get_task", task_id="nobody")
        return {"found": SECRET}

    with traced() as spans:
        async with World(tmp_path) as world:
            await world.agent("ann")
            await world.platform.call("submit_plan", PLAN, TRACED)
            async with working(world, handler) as worker:
                await until(lambda: "tools/call complete_task" in of(spans, TRACE))
            await world.settled()
            task = await world.call("get_task", task_id="p.t")
        assert spans.tree(TRACE) == SUBMITTED | WORKED
        assert task["task"]["status"] == "completed"
        assert SECRET not in "".join(span.to_json() for span in spans.ended())


async def test_spans_say_what_the_conventions_want(tmp_path: Path) -> None:
    with traced() as spans:
        async with World(tmp_path) as world:
            await world.platform.call("submit_plan", PLAN, TRACED)
            await world.settled()
            [command] = [e.command_id for e in await world.events() if e.type == "PlanSubmitted"]
        call, send = spans.named("tools/call submit_plan"), spans.named("send commands")
        decide, fold = spans.named("decide commands"), spans.named("fold events")
    assert [span.kind for span in (call, send, decide, fold)] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CONSUMER,
    ]
    assert call.attributes == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "submit_plan",
        "agent_orchestration.tenant": "default",
    }
    assert {**(send.attributes or {})} == {
        "messaging.system": "sqlite",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "commands",
        "messaging.destination.partition.id": (decide.attributes or {})[
            "messaging.destination.partition.id"
        ],
        "messaging.message.id": command,
        "agent_orchestration.tenant": "default",
        "agent_orchestration.command.type": "SubmitPlan",
    }
    assert decide.attributes is not None
    assert decide.attributes["messaging.message.id"] == command
    assert decide.attributes["agent_orchestration.outcome"] == "accepted"
    assert fold.attributes is not None
    assert fold.attributes["agent_orchestration.event.type"] == "PlanSubmitted"
    times = [(span.start_time or 0, span.end_time or 0) for span in (send, decide, fold)]
    assert all(0 < began <= ended for began, ended in times)


async def test_what_was_refused_is_a_failed_span_with_its_code(tmp_path: Path) -> None:
    with traced() as spans:
        async with World(tmp_path) as world:
            await world.task("t")
            spans.clear()
            with pytest.raises(Rejected):
                await world.platform.call("create_task", {"id": "t", "title": "t"}, TRACED)
            await until(lambda: "decide commands" in spans.names())
    for name in ("tools/call create_task", "decide commands"):
        attributes = spans.named(name).attributes or {}
        assert attributes["error.type"] == "already_exists"
    assert "send events" not in spans.names()


async def test_a_worker_that_fails_says_so(tmp_path: Path) -> None:
    async def handler(task: HeldTask) -> Any:
        raise TaskError(SECRET, error_type="broken", retryable=False)

    with traced() as spans:
        async with World(tmp_path) as world:
            await world.agent("ann")
            await world.platform.call("create_task", {"id": "t", "title": "t"}, TRACED)
            async with working(world, handler):
                await until(lambda: "invoke_agent ann" in spans.names())
    attributes = spans.named("invoke_agent ann").attributes or {}
    assert attributes["error.type"] == attributes["agent_orchestration.outcome"] == "failed"
    assert trace_of(spans.named("invoke_agent ann")) == TRACE


async def test_a_trace_that_is_not_recorded_stays_so_everywhere(tmp_path: Path) -> None:
    async def handler(task: HeldTask) -> Any:
        assert tracing.current() is None

    with traced() as spans:
        async with World(tmp_path) as world:
            await world.agent("ann")
            caller = Caller(traceparent=NOT_RECORDED)
            await world.platform.call("submit_plan", PLAN, caller)
            async with working(world, handler):
                await world.platform.call("wait_for_tasks", {"ids": ["p.t"], "seconds": 20}, caller)
            await world.settled()
            events = [e for e in await world.events() if e.type == "PlanSubmitted"]
    assert not of(spans, TRACE)
    assert [event.traceparent for event in events] == [NOT_RECORDED]


async def test_of_what_is_one_too_many_nothing_is_recorded(tmp_path: Path) -> None:
    with traced(per_second=1) as spans:
        async with World(tmp_path) as world:
            for number in range(20):
                await world.task(f"t{number}")
            await world.settled()
    calls = [span for span in spans.ended() if span.name == "tools/call create_task"]
    sent = [span for span in spans.ended() if span.name == "send commands"]
    assert 1 <= len(calls) < 20
    assert {span_id(span) for span in calls} == {
        f"{span.parent.span_id:016x}" for span in sent if span.parent is not None
    }


async def test_a_call_of_a_model_says_what_it_cost_and_nothing_of_what_was_said() -> None:
    messages = [{"role": "user", "content": SECRET}]
    async with stand_in() as server:
        config = OpenAI(base_url=server.base_url, api_key=SecretStr(SECRET))
        model = OpenAIChatModel(config, CircuitBreakerRegistry())
        with traced() as spans:
            await model.chat(messages, model="untraced")
            with tracing.span("work", {}, begins=True):
                answer = await model.chat(messages, model="m", max_tokens=99)
        await model.close()
    assert SECRET in answer.text
    made = spans.named("chat m")
    assert made.kind == SpanKind.CLIENT
    assert made.parent is not None
    assert made.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 99,
        "server.address": "127.0.0.1",
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
    }
    assert spans.names() == ["chat m", "work"]
    assert SECRET not in "".join(span.to_json() for span in spans.ended())


async def test_a_function_in_a_thread_is_part_of_the_work(tmp_path: Path) -> None:
    inside: list[str | None] = []

    @agent(id="ann")
    def ann() -> None:
        inside.append(tracing.trace_ids().get("trace_id"))

    with traced():
        async with World(tmp_path) as world:
            await world.agent("ann")
            await world.platform.call("create_task", {"id": "t", "title": "t"}, TRACED)
            async with working(world, ann.carry_out):
                await until(lambda: bool(inside))
    assert inside == [TRACE]


async def test_commands_that_come_from_elsewhere_need_no_trace(tmp_path: Path) -> None:
    with traced() as spans:
        async with World(tmp_path) as world:
            await world.inject(RegisterAgent(agent_id="ann", name="ann", kind="function"), "c-1")
            await world.settled()
    assert spans.names() == []


async def test_without_tracing_contexts_are_passed_on_as_they_came(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.platform.call("submit_plan", PLAN, TRACED)
        await world.settled()
        [event] = [e for e in await world.events() if e.type == "PlanSubmitted"]
        assert event.traceparent == TRACEPARENT
        task = (await world.call("get_task", task_id="p.t"))["task"]
        assert task["traceparent"] == TRACEPARENT
        await world.is_fold_of_log()
        await world.rebuilt_equal()


async def test_a_command_that_cannot_be_sent_is_a_failed_span(tmp_path: Path) -> None:
    with traced() as spans:
        async with World(tmp_path) as world:
            await world.ready()
            world.log.faults[COMMANDS] = lambda _: Unavailable("no_disk", SECRET)
            with pytest.raises(Unavailable):
                await world.platform.call("create_task", {"id": "t", "title": "t"}, TRACED)
    for name in ("tools/call create_task", "send commands"):
        assert (spans.named(name).attributes or {})["error.type"] == "no_disk", name


async def test_what_is_folded_anew_is_no_part_of_old_traces(tmp_path: Path) -> None:
    with traced() as spans:
        async with World(tmp_path) as world:
            await world.platform.call("submit_plan", PLAN, TRACED)
            await world.settled()
            before = of(spans, TRACE)
            await world.rebuilt_equal()
    assert "fold events" in before
    assert of(spans, TRACE) == before
