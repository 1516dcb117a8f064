"""Every way in which models, tools and money fail, through a worker on a whole platform: how the
task ends, or that it completes when the fault is over, and that nothing stays behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.llm import openai_answers
from agent_orchestration.backends.llm.openai import ATTEMPTS, OpenAIChatModel
from agent_orchestration.config import OpenAI
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.resilience import CircuitBreakerRegistry, CircuitBreakerState
from agent_orchestration.workers.hosting import Host
from agent_orchestration.workers.llm_tools import Toolbox
from agent_orchestration.workers.prices import Price, PriceList
from agent_orchestration.workers.template_agent import template_agent
from tests.e2e.check_log import check_folder
from tests.integration.test_model_faults import FAULTS, PASSING
from tests.integration.world import World, until, until_async
from tests.stand_in import StandIn, stand_in

CLOSED, OPEN, _ = CircuitBreakerState
#: A micro for each token, both ways.
PRICES = PriceList(version="1", models={}, unknown=Price(1_000_000, 1_000_000, 1_000_000))
LOOK = {"answer": {"tool_calls": [{"name": "look", "arguments": {"at": "sea"}}]}}
#: The fault comes with the first request, or after a tool was called.
MODES = ("answer", "tool call")
Rules = list[dict[str, Any]]
every_mode = pytest.mark.parametrize("mode", MODES)


def look(at: str) -> str:
    """Look somewhere."""
    return f"seen: {at}"


class Desk:
    """A platform with an agent by a model whose waits take no time; `seconds` are the breakers'."""

    def __init__(self, world: World, server: StandIn) -> None:
        self.world = world
        self.server = server
        self.seconds = 0.0
        self.breakers = CircuitBreakerRegistry(lambda: self.seconds)

    async def begin(self, max_attempts: int = 1) -> None:
        """Create the task."""
        retry = {"max_attempts": max_attempts, "initial_seconds": 0.05}
        await self.world.task("t", retry=retry, payload="look around")

    async def task(self) -> dict[str, Any]:
        return (await self.world.call("get_task", task_id="t"))["task"]

    async def ended(self) -> dict[str, Any]:
        """The task, when it has ended; nobody holds anything then."""

        async def has_ended() -> bool:
            return (await self.task())["status"] in ("completed", "failed")

        await until_async(has_ended, "the task to end")
        agent = (await self.world.call("get_agent", agent_id="looker"))["agent"]
        assert (agent["active"], agent["task_ids"]) == (0, [])
        return await self.task()

    async def money(self) -> tuple[int, int]:
        """What was spent for sure, and what is unconfirmed; nothing stays reserved."""
        await self.world.settled()
        found = (await self.world.call("get_usage", by="task"))["usage"]
        assert all(one["reserved_micros"] == 0 for one in found)
        unconfirmed = sum(one["unconfirmed_micros"] for one in found)
        return sum(one["cost_micros"] for one in found) - unconfirmed, unconfirmed

    async def requests(self) -> int:
        return (await self.server.usage())["calls"]

    def breaker(self) -> tuple[CircuitBreakerState, int]:
        [status] = self.breakers.status()
        return status.state, status.failures


@asynccontextmanager
async def desk(
    folder: Path,
    rules: Rules,
    *,
    patience: float = 30,
    function: Callable[..., Any] = look,
    limits: dict[str, Any] | None = None,
    prices: PriceList = PRICES,
) -> AsyncGenerator[Desk]:
    """The desk, with a model that does what the rules say, and its agent at work."""

    async def no_wait(_seconds: float) -> None:
        await asyncio.sleep(0)

    async with stand_in({"rules": rules}) as server, World(folder) as world:
        made = Desk(world, server)
        key = SecretStr("sk-only-for-tests")
        config = OpenAI(api_key=key, base_url=server.base_url, request_timeout=patience)
        model = OpenAIChatModel(config, made.breakers, no_wait)
        settings = {"tools": [function.__name__], "limits": limits or {}}
        given: dict[str, Any] = {"name": "looker", "kind": "llm", "capabilities": []}
        await world.call("define_template", **given, settings=settings)
        agent = await template_agent(
            world.platform,
            agent_id="looker",
            template="looker",
            model=model,
            default_model="m",
            toolbox=Toolbox(REGISTRY, [function]),
            prices=prices,
        )
        host = Host(world.platform, [agent])
        working = asyncio.create_task(host.run())
        try:
            yield made
        finally:
            host.drain()
            await working
            await model.close()
    check_folder(folder)


@pytest.fixture(autouse=True)
def _little_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_answers, "MAX_BYTES", 1024 * 1024)


def tokens(task: dict[str, Any]) -> int:
    """What the answers that are kept took."""
    if "progress" not in task:
        return 0
    usage = task["progress"]["usage"]
    return usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("fault", FAULTS)
@every_mode
async def test_a_fault_that_stays_ends_the_task_with_its_error(
    tmp_path: Path, fault: str, mode: str
) -> None:
    expected = FAULTS[fault]
    before: Rules = [{"when": {"call": 1}, **LOOK}] if mode == "tool call" else []
    rules = [*before, {"fault": fault, **expected.more}]
    async with desk(tmp_path, rules, patience=2 if fault == "hang" else 30) as at:
        await at.begin()
        task = await at.ended()
        assert (task["status"], task["error_type"]) == ("failed", expected.code)
        assert len(task["error"].split()) > 5
        assert await at.requests() == len(before) + expected.attempts
        unavailable = expected.kind is Unavailable
        assert at.breaker() == (CLOSED, expected.attempts if unavailable else 0)
        spent, unconfirmed = await at.money()
        assert spent == tokens(task)
        # Nobody knows what became of a request that broke; one that was refused costs nothing.
        assert (unconfirmed > 0) == unavailable


@pytest.mark.parametrize("fault", PASSING)
@every_mode
async def test_a_task_completes_when_the_fault_is_over(
    tmp_path: Path, fault: str, mode: str
) -> None:
    expected = FAULTS[fault]
    before: Rules = [{"when": {"call": 1}, **LOOK}] if mode == "tool call" else []
    faults = range(len(before) + 1, len(before) + ATTEMPTS + 1)
    more = {**expected.more, "retry_after": 0.05}
    rules = [*before, *({"when": {"call": n}, "fault": fault, **more} for n in faults)]
    async with desk(tmp_path, rules, patience=2 if fault == "hang" else 30) as at:
        await at.begin(max_attempts=0)
        task = await at.ended()
        said = "seen: sea" if mode == "tool call" else "look around"
        assert (task["status"], task["attempt"]) == ("completed", 2)
        assert said in task["result"]
        assert await at.requests() == len(before) + ATTEMPTS + 1
        assert at.breaker() == (CLOSED, 0)
        spent, unconfirmed = await at.money()
        assert spent == tokens(task) > 0
        assert (unconfirmed > 0) == (expected.kind is Unavailable)


async def test_a_service_that_keeps_failing_is_left_alone_until_it_answers(tmp_path: Path) -> None:
    rules: Rules = [{"when": {"call": n}, "fault": "outage"} for n in range(1, 7)]
    async with desk(tmp_path, rules) as at:
        await at.begin(max_attempts=0)
        await until(lambda: at.breakers.status() != [] and at.breaker()[0] is OPEN, "it to open")
        assert (at.breaker(), await at.requests()) == ((OPEN, 5), 5)
        at.seconds = 59.9  # so that the task does not wait for a minute

        async def is_left_alone() -> bool:
            return (await at.task())["error_type"] == "model_circuit_open"

        await until_async(is_left_alone, "the task to be left alone")
        assert await at.requests() == 5
        at.seconds = 60
        await until(lambda: at.breaker() == (OPEN, 6), "a request to try")
        assert await at.requests() == 6
        at.seconds = 120
        task = await at.ended()
        assert (task["status"], at.breaker()) == ("completed", (CLOSED, 0))
        spent, unconfirmed = await at.money()
        assert spent == tokens(task) > 0
        assert unconfirmed > 0


@pytest.mark.parametrize("fault", ["wrong_tool", "wrong_arguments"])
async def test_a_model_that_never_calls_as_it_is_told_ends(tmp_path: Path, fault: str) -> None:
    async with desk(tmp_path, [{"fault": fault}], limits={"turns": 3}) as at:
        await at.begin()
        task = await at.ended()
        assert task["error_type"] == "too_many_turns"
        told = [one["content"] for one in task["progress"]["messages"] if one["role"] == "tool"]
        wrong = {"wrong_tool": "there is no tool no_such_tool", "wrong_arguments": "are no JSON"}
        assert len(told) == 3
        assert all(wrong[fault] in one for one in told)
        assert await at.money() == (tokens(task), 0)


async def test_a_model_that_ignores_a_tools_schema_or_calls_for_ever_ends(tmp_path: Path) -> None:
    ignores = {"answer": {"tool_calls": [{"name": "look", "arguments": {"at": 7, "for": "it"}}]}}
    rules = [{"when": {"call": 1}, **ignores}, LOOK]
    async with desk(tmp_path, rules, limits={"turns": 3}) as at:
        await at.begin()
        task = await at.ended()
        assert task["error_type"] == "too_many_turns"
        messages = task["progress"]["messages"]
        told = [one["content"] for one in messages if one["role"] == "tool"]
        assert told[0].startswith("error: the arguments do not fit: at: Input should be a valid")
        assert told[1:] == ["seen: sea"] * 2
        assert await at.money() == (tokens(task), 0)


def huge() -> str:
    return "x" * 50_000_000


def halved() -> str:
    return "caf\udce9 \ud83d"


def latin() -> bytes:
    return "café".encode("latin-1")


def failing() -> str:
    raise ValueError("\ud800" + "x" * 50_000_000)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (huge, "(cut off: 50000000 characters, of which 20000 are shown)"),
        (halved, r"caf\udce9 \ud83d"),
        (latin, "error: UnicodeDecodeError: "),
        (failing, "(cut off: 50000020 characters, of which 20000 are shown)"),
    ],
)
async def test_what_a_tool_answers_wrongly_is_shown_to_the_model(
    tmp_path: Path, function: Callable[..., Any], told: str
) -> None:
    name = function.__name__
    rules: Rules = [{"when": {"call": 1}, "answer": {"tool_calls": [{"name": name}]}}]
    async with desk(tmp_path, [*rules, {"answer": {"text": "Done."}}], function=function) as at:
        await at.begin()
        task = await at.ended()
        assert (task["status"], task["result"]) == ("completed", "Done.")
        [shown] = [m["content"] for m in task["progress"]["messages"] if m["role"] == "tool"]
        assert told in shown
        assert await at.money() == (tokens(task), 0)


@pytest.mark.parametrize(
    ("prices", "error_type"),
    [(PRICES, "budget_exceeded"), (PriceList(version="1", models={}), "unknown_price")],
)
async def test_without_money_or_a_price_nothing_is_asked(
    tmp_path: Path, prices: PriceList, error_type: str
) -> None:
    async with desk(tmp_path, [], prices=prices) as at:
        await at.world.call("set_budget", limit_micros=0)
        await at.begin(max_attempts=0)
        task = await at.ended()
        assert (task["status"], task["error_type"]) == ("failed", error_type)
        assert (await at.requests(), await at.money()) == (0, (0, 0))
