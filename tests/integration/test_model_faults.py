"""Every way in which a model's service misbehaves: the error, the attempts, the breaker, and that
nothing stays behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from agent_orchestration.backends.llm import BEGIN_ANEW, ChatAnswer, ToolSpec, openai_answers
from agent_orchestration.backends.llm.openai import ATTEMPTS, FIRST_WAIT, OpenAIChatModel
from agent_orchestration.config import OpenAI
from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable
from agent_orchestration.resilience import CircuitBreakerRegistry, CircuitBreakerState
from tests.stand_in import StandIn, stand_in

KEY = "sk-only-for-tests"
LOOK = ToolSpec("look", "Look somewhere", {"type": "object", "properties": {}})
CALL = {"answer": {"tool_calls": [{"name": "look", "arguments": {"at": "sea"}}]}}
MODES = ("plain", "streaming", "tool call")
CLOSED, OPEN, HALF_OPEN = CircuitBreakerState


@dataclass
class World:
    """A model whose waits take no time, and what it did."""

    server: StandIn
    waits: list[float] = field(default_factory=list[float])
    told: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    breakers: CircuitBreakerRegistry = field(init=False)
    model: OpenAIChatModel = field(init=False)

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def ask(self, mode: str = "plain", **more: Any) -> ChatAnswer:
        """The answer to a question; streaming keeps what it is told."""
        if mode == "streaming":
            more["on_text"] = self.told.append
        if mode == "tool call":
            more["tools"] = [LOOK]
        messages = [{"role": "user", "content": "hello out there"}]
        return await self.model.chat(messages, model="m", **more)

    async def requests(self) -> int:
        return (await self.server.usage())["calls"]

    def breaker(self) -> tuple[CircuitBreakerState, int]:
        [status] = self.breakers.status()
        return status.state, status.failures


@asynccontextmanager
async def world(*rules: dict[str, Any], patience: float = 30) -> AsyncGenerator[World]:
    """A stand-in with these rules, and a model that asks it and waits so many seconds."""
    async with stand_in({"rules": rules}) as server:
        made = World(server)
        made.breakers = CircuitBreakerRegistry(made.now)
        key, url = SecretStr(KEY), server.base_url
        config = OpenAI(api_key=key, base_url=url, request_timeout=patience)
        made.model = OpenAIChatModel(config, made.breakers, made.sleep)
        try:
            yield made
        finally:
            await made.model.close()


@dataclass(frozen=True)
class Expected:
    """What a fault leads to: the error's kind and code, and whether it is tried again."""

    kind: type[PlatformError]
    code: str
    attempts: int = ATTEMPTS
    more: dict[str, Any] = field(default_factory=dict[str, Any])


FAULTS = {
    "key_refused": Expected(Rejected, "model_key", 1),
    "unknown_model": Expected(Rejected, "unknown_model", 1),
    "quota": Expected(Rejected, "model_quota", 1),
    "rate_limit": Expected(Busy, "model_busy", more={"retry_after": 2}),
    "outage": Expected(Unavailable, "model_unavailable"),
    "hang": Expected(Unavailable, "model_timeout"),
    "cut": Expected(Unavailable, "model_bad_answer"),
    "malformed": Expected(Unavailable, "model_bad_answer"),
    "not_utf8": Expected(Unavailable, "model_bad_answer"),
    "huge": Expected(Unavailable, "model_bad_answer", more={"megabytes": 2}),
}
PASSING = [name for name, expected in FAULTS.items() if expected.kind is not Rejected]
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(autouse=True)
def _little_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_answers, "MAX_BYTES", 1024 * 1024)


@pytest.mark.parametrize("fault", FAULTS)
@every_mode
async def test_a_fault_that_stays_is_its_error_after_so_many_attempts(
    fault: str, mode: str
) -> None:
    expected = FAULTS[fault]
    rule = {"fault": fault, **expected.more}
    async with world(rule, patience=0.2 if fault == "hang" else 30) as at:
        with pytest.raises(expected.kind) as raised:
            await at.ask(mode)
        assert raised.value.code == expected.code
        assert len(raised.value.reason.split()) > 5
        assert KEY not in str(raised.value.to_dict())
        assert await at.requests() == expected.attempts
        assert len(at.waits) == expected.attempts - 1
        failures = expected.attempts if expected.kind is Unavailable else 0
        assert at.breaker() == (CLOSED, failures)
        usage = await at.server.usage()
        assert [billed["answers"] for billed in usage["billed"]] == [
            ATTEMPTS if fault == "huge" else 0
        ]


@pytest.mark.parametrize("fault", PASSING)
@every_mode
async def test_a_fault_that_passes_costs_an_attempt_and_the_answer_is_whole(
    fault: str, mode: str
) -> None:
    rule = {"when": {"call": 1}, "fault": fault, **FAULTS[fault].more}
    rules = [rule, CALL] if mode == "tool call" else [rule]
    async with world(*rules, patience=2 if fault == "hang" else 30) as at:
        answer = await at.ask(mode)
        assert answer.attempts == await at.requests() == 2
        assert at.breaker() == (CLOSED, 0)
        [wait] = at.waits
        assert wait == 2 if fault == "rate_limit" else FIRST_WAIT / 2 <= wait <= FIRST_WAIT
        if mode == "tool call":
            assert [call.name for call in answer.tool_calls] == ["look"]
        else:
            assert answer.text == "A stand-in for a model was told: hello out there"
        if mode == "streaming":
            voids = at.told.index(BEGIN_ANEW) if BEGIN_ANEW in at.told else -1
            assert "".join(at.told[voids + 1 :]) == answer.text
            assert (voids >= 0) == (fault in {"hang", "cut", "malformed", "not_utf8", "huge"})


@every_mode
@pytest.mark.parametrize("fault", ["wrong_tool", "wrong_arguments"])
async def test_what_a_model_calls_wrongly_is_handed_on_as_it_came(fault: str, mode: str) -> None:
    async with world({"fault": fault}) as at:
        answer = await at.ask(mode, tools=[LOOK])
        [call] = answer.tool_calls
        wrong = {"wrong_tool": ("no_such_tool", "{}"), "wrong_arguments": ("look", '{"unclosed": ')}
        assert (call.name, call.arguments) == wrong[fault]
        assert (answer.finish_reason, answer.attempts) == ("tool_calls", 1)


@every_mode
async def test_after_five_failures_the_service_is_left_alone_until_one_answer_comes(
    mode: str,
) -> None:
    down = [{"when": {"call": n}, "fault": "outage"} for n in range(1, 7)]
    async with world(*down) as at:
        for left in (3, 2):
            with pytest.raises(Unavailable) as raised:
                await at.ask(mode)
            assert raised.value.code == "model_unavailable"
            assert raised.value.details["attempts"] == left
        assert (at.breaker(), await at.requests()) == ((OPEN, 5), 5)
        at.seconds = 20
        with pytest.raises(Unavailable) as raised:
            await at.ask(mode)
        assert raised.value.code == "model_circuit_open"
        assert raised.value.details["may_be_billed"] is False
        assert raised.value.details["retry_after"] == 40
        assert await at.requests() == 5
        at.seconds = 60
        with pytest.raises(Unavailable, match="500"):
            await at.ask(mode)
        assert (at.breaker(), await at.requests()) == ((OPEN, 6), 6)
        at.seconds = 120
        assert (await at.ask(mode)).attempts == 1
        assert at.breaker() == (CLOSED, 0)


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with world() as at:
        gone = OpenAIChatModel(OpenAI(base_url="http://127.0.0.1:9/v1"), at.breakers, at.sleep)
        try:
            with pytest.raises(Unavailable, match="cannot be reached") as raised:
                await gone.chat([{"role": "user", "content": ""}], model="m")
            assert raised.value.code == "model_unavailable"
            assert raised.value.details["attempts"] == ATTEMPTS
        finally:
            await gone.close()


async def test_whoever_is_told_to_wait_for_long_is_told_at_once() -> None:
    async with world({"fault": "rate_limit", "retry_after": 90}) as at:
        with pytest.raises(Busy) as raised:
            await at.ask()
        assert raised.value.details == {"retry_after": 90.0, "attempts": 1}
        assert (await at.requests(), at.waits) == (1, [])


async def test_a_refusal_after_a_request_that_broke_may_have_been_billed() -> None:
    broken = {"when": {"call": 1}, "fault": "cut"}
    async with world(broken, {"fault": "rate_limit", "retry_after": 90}) as at:
        with pytest.raises(Busy) as raised:
            await at.ask()
        assert raised.value.details["may_be_billed"] is True


@every_mode
async def test_a_caller_that_gives_up_leaves_nothing_behind(mode: str) -> None:
    hangs = {"when": {"call": 1}, "fault": "hang"}
    async with world(hangs) as at:
        asking = asyncio.create_task(at.ask(mode))
        while not await at.requests():
            pass
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert at.breaker() == (CLOSED, 0)
        assert (await at.ask(mode)).attempts == 1


async def test_an_error_of_who_is_told_is_passed_on_and_is_no_failure_of_the_service() -> None:
    def refuse(text: str) -> None:
        raise TimeoutError(text)

    async with world() as at:
        with pytest.raises(TimeoutError, match="A"):
            await at.ask(on_text=refuse)
        assert (at.breaker(), await at.requests()) == ((CLOSED, 0), 1)
