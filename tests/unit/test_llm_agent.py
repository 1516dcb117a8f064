"""Tasks carried out by a language model: its answers, its tools, and what ends it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from agent_orchestration.backends.llm import ToolCall
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected, Unavailable
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.llm_agent import LlmAgent
from agent_orchestration.workers.llm_settings import Limits, LlmSettings, read_settings
from agent_orchestration.workers.llm_tools import CallableTool, FunctionTool
from agent_orchestration.workers.paying import Purse
from agent_orchestration.workers.prices import Price, PriceList
from agent_orchestration.workers.recording import Recordings
from agent_orchestration.workers.worker import Worker
from tests.unit.platform_double import DoubleTask, PlatformDouble
from tests.unit.scripted_model import ScriptedModel, Step, answer
from tests.unit.test_worker import until

SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
#: A token of the prompt costs 2 micros, one of the answer 3.
PRICES = PriceList(version="1", models={"usual": Price(2_000_000, 1_000_000, 3_000_000)})
added: list[tuple[int, int]] = []


def add(one: int, other: int = 1) -> int:
    """The sum of two numbers."""
    added.append((one, other))
    return one + other


def call(name: str = "add", arguments: str = '{"one": 1}', number: int = 1) -> ToolCall:
    return ToolCall(f"call-{number}", name, arguments)


class Desk:
    """A platform with one task, and a model that carries it out."""

    def __init__(
        self,
        *steps: Step,
        settings: LlmSettings = LlmSettings(),  # noqa: B008 - immutable
        functions: Sequence[Callable[..., Any]] = (add,),
        payload: Any = None,
        prices: PriceList = PRICES,
        recordings: Recordings | None = None,
    ) -> None:
        added.clear()
        self.platform = PlatformDouble()
        self.platform.agents["ann"] = set()
        self.model = ScriptedModel(*steps)
        tools: Mapping[str, CallableTool] = {one.__name__: FunctionTool(one) for one in functions}
        self.purse = Purse(PatientCalls(self.platform, Caller()), prices)
        self.agent = LlmAgent(
            self.model, settings, tools, "usual", self.purse, recordings=recordings
        )
        self.task = DoubleTask(
            id="t", title="Add", requires=set(), depends_on=[], labels=[], payload=payload
        )
        self.platform.tasks["t"] = self.task

    async def attempt(self) -> DoubleTask:
        """The task after an attempt."""
        if self.task.status == "blocked":
            self.task.status, self.task.retry_at = "ready", None
        worker = Worker(self.platform, "ann", self.agent)
        running = asyncio.create_task(worker.run())
        await until(lambda: self.task.status in ("completed", "failed", "blocked"))
        worker.drain()
        await running
        return self.task

    async def ends_with(self, error_type: str) -> str:
        """It fails for good, with this error type; the message."""
        task = await self.attempt()
        assert task.error is not None
        assert (task.status, task.error["error_type"]) == ("failed", error_type)
        return task.error["error"]

    def last_asked(self) -> Any:
        return self.model.asked[-1][-1]


async def test_an_answer_is_the_result() -> None:
    desk = Desk("It is 3.", payload={"one": 1, "other": 2})
    assert (await desk.attempt()).result == "It is 3."
    [system, user] = desk.model.asked[0]
    assert "answer with its result and nothing else" in system["content"]
    assert "Task: Add" in user["content"]
    assert 'Payload:\n{"one":1,"other":2}' in user["content"]


async def test_results_of_dependencies_are_shown() -> None:
    desk = Desk("done")
    first = DoubleTask(id="a", title="a", requires=set(), depends_on=[], labels=[], payload=None)
    first.status, first.result = "completed", {"found": 7}
    desk.platform.tasks["a"] = first
    desk.task.depends_on.append("a")
    await desk.attempt()
    assert 'Result of a, which this task waited for:\n{"found":7}' in desk.last_asked()["content"]


@pytest.mark.parametrize("text", ['{"sum": 3}', '```json\n{"sum": 3}\n```', ' {"sum":3}\n'])
async def test_a_result_that_fits_its_schema(text: str) -> None:
    desk = Desk(text, settings=LlmSettings(result_schema=SCHEMA))
    assert (await desk.attempt()).result == {"sum": 3}


async def test_a_task_may_bring_its_own_schema() -> None:
    schema = {"type": "integer"}
    desk = Desk("3", settings=LlmSettings(result_schema=SCHEMA), payload={"result_schema": schema})
    assert (await desk.attempt()).result == 3


async def test_a_schema_that_is_none_ends_the_task() -> None:
    assert "payload.result_schema" in await Desk(
        "3", payload={"result_schema": {"type": "number of things"}}
    ).ends_with("bad_schema")


async def test_what_does_not_fit_is_sent_back() -> None:
    desk = Desk("three", '{"sum": "3"}', '{"sum": 3}', settings=LlmSettings(result_schema=SCHEMA))
    assert (await desk.attempt()).result == {"sum": 3}
    assert "$.sum: '3' is not of type 'integer'" in desk.last_asked()["content"]


async def test_not_for_ever() -> None:
    limits = Limits(repairs=2)
    desk = Desk("three", settings=LlmSettings(result_schema=SCHEMA, limits=limits))
    assert "does not fit" in await desk.ends_with("invalid_result")
    assert len(desk.model.asked) == 3


async def test_tools_are_called_and_their_answers_shown() -> None:
    desk = Desk([call(), call("add", '{"one": 5, "other": 2}', 2)], "2 and 7")
    assert (await desk.attempt()).result == "2 and 7"
    assert added == [(1, 1), (5, 2)]
    assert [one["content"] for one in desk.model.asked[1][-2:]] == ["2", "7"]
    assert desk.model.offered == [["add"], ["add"]]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (call("subtract"), "there is no tool subtract; there are: add"),
        (call(arguments="one"), "the arguments are no JSON"),
        (call(arguments='{"one": "\\ud800"}'), "the arguments are no JSON: 'utf-8' codec"),
        (call(arguments="[1]"), "the arguments have to be a JSON object"),
        (call(arguments='{"two": 1}'), "one: Field required; two: Extra inputs"),
    ],
)
async def test_a_wrong_call_is_told_to_the_model(asked: ToolCall, told: str) -> None:
    desk = Desk(asked, "never mind")
    assert (await desk.attempt()).result == "never mind"
    assert told in desk.last_asked()["content"]


async def test_a_tool_that_fails_is_told_to_the_model() -> None:
    async def add(one: int) -> int:
        raise RuntimeError("out of numbers")

    desk = Desk(call(), "never mind", functions=(add,))
    await desk.attempt()
    assert desk.last_asked()["content"] == "error: RuntimeError: out of numbers"


async def test_a_tool_that_answers_what_it_should_not_is_told_to_the_model() -> None:
    def add(one: int) -> int:
        return cast("int", "one more")

    desk = Desk(call(), "never mind", functions=(add,))
    await desk.attempt()
    assert desk.last_asked()["content"].startswith("error: what it answered does not fit: it: ")


async def test_a_large_answer_of_a_tool_is_cut() -> None:
    def add(one: int) -> str:
        return "x" * 5000

    limits = Limits(tool_characters=100)
    desk = Desk(call(), "done", functions=(add,), settings=LlmSettings(limits=limits))
    await desk.attempt()
    assert desk.last_asked()["content"].endswith(
        "(cut off: 5000 characters, of which 100 are shown)"
    )


async def test_what_cannot_be_sent_of_a_tools_answer_is_shown_as_numbers() -> None:
    def add(one: int) -> str:
        return "caf\udce9"

    desk = Desk(call(), "done", functions=(add,))
    assert (await desk.attempt()).result == "done"
    assert desk.last_asked()["content"] == "caf\\udce9"


async def test_calls_of_one_id_in_two_answers_are_two_calls() -> None:
    """As of a service that counts the calls of each answer from nought."""
    keys: list[str] = []

    class Counted(FunctionTool):
        async def call(self, arguments: dict[str, Any], key: str) -> str:
            keys.append(key)
            return await super().call(arguments, key)

    desk = Desk(call(), call(), "done")
    tools = {"add": Counted(add)}
    desk.agent = LlmAgent(desk.model, LlmSettings(), tools, "usual", desk.purse)
    assert (await desk.attempt()).result == "done"
    assert keys == ["t:1:call-1", "t:2:call-1"]


async def test_an_endless_loop_of_tools_ends() -> None:
    desk = Desk(call(), settings=LlmSettings(limits=Limits(turns=4)))
    assert "after 4 calls" in await desk.ends_with("too_many_turns")
    assert len(desk.model.asked) == 4


async def test_tokens_are_limited() -> None:
    desk = Desk(call(), settings=LlmSettings(limits=Limits(tokens=40)))
    assert "after 45 tokens" in await desk.ends_with("too_many_tokens")


async def test_an_answer_that_was_cut_off_is_no_result() -> None:
    desk = Desk(answer("half of", finish_reason="length"))
    await desk.ends_with("answer_cut_off")


async def test_a_conversation_that_cannot_be_kept_ends() -> None:
    desk = Desk("x" * 1_100_000)
    assert "split the task" in await desk.ends_with("conversation_too_long")


async def test_a_later_attempt_goes_on_where_the_one_before_ended() -> None:
    outage = Unavailable("model_unavailable", "the service is down")
    desk = Desk(call(), outage, outage, "It is 2.")
    task = await desk.attempt()
    assert task.error is not None
    assert (task.error["error_type"], task.error["retryable"]) == ("model_unavailable", True)
    await desk.attempt()
    assert (await desk.attempt()).result == "It is 2."
    assert added == [(1, 1)]
    assert [len(messages) for messages in desk.model.asked] == [2, 4, 4, 4]
    assert task.progress["usage"] == {
        "calls": 2,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "repairs": 0,
    }


async def test_what_the_model_says_is_shown_while_it_speaks() -> None:
    speaking = asyncio.Event()

    class Slow(ScriptedModel):
        async def chat(self, *args: Any, on_text: Any = None, **more: Any) -> Any:
            on_text("I am ")
            on_text("thinking")
            speaking.set()
            await asyncio.Event().wait()

    desk = Desk("")
    desk.agent = LlmAgent(Slow(""), LlmSettings(), {}, "usual", desk.purse)
    worker = Worker(desk.platform, "ann", desk.agent)
    running = asyncio.create_task(worker.run())
    await speaking.wait()
    await until(lambda: desk.task.progress is not None)
    assert desk.task.progress["partial"] == "I am thinking"
    worker.stop()
    await running


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tool": []}, "unknown field `tool`"),
        ({"limits": {"turns": 0}}, "$.limits.turns"),
        ({"tools": ["a b"]}, "$.tools[0]"),
        ({"result_schema": {"type": "thing"}}, "result_schema"),
        ("instructions", "Expected `object`"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: Any, said: str) -> None:
    with pytest.raises(Rejected) as refused:
        read_settings("writer:1", settings)
    assert said in refused.value.reason
