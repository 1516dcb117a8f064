"""P7: the embedded server: how soon it answers, and how many lifecycles it does in a second."""

import json
import statistics
import time
from collections.abc import Callable

from bench.engines import Engines, engines
from bench.lifecycles import CLIENTS
from bench.processes import answer, first_line, folder, started
from bench.results import Figure, Row, at_least, compared, within
from bench.tool_calls import ToolCaller
from tests.services.jars import NotHere

START_SECONDS = 1.5
_TURNS, _QUICK_TURNS = 7, 1
_RATES, _QUICK_RATES = 3, 1
_COUNT, _QUICK_COUNT = 2000, 64
_UNTIL = {"decided": "acknowledged", "caught_up": "in the graph"}


def measure(quick: bool) -> list[Row]:
    """Both figures; each process is a new one on a new data folder."""
    return [_start(quick), *_lifecycles(quick)]


def _start(quick: bool) -> Row:
    _first_answer()  # compiles what was not compiled yet
    turns = [(_first_answer(), _import()) for _ in range(_QUICK_TURNS if quick else _TURNS)]
    ours, beside = (statistics.median(side) for side in zip(*turns, strict=True))
    what = "dev: from start to the first answered tool call, beside `import fastmcp`"
    goal = within(START_SECONDS, "s")
    return compared("P7", what, "s", (ours, beside), goal, quick=quick, durability="P")


def _first_answer() -> float:
    with folder() as home:
        began = time.perf_counter()
        words = ("dev", "--json", "--port", "0", "--data", str(home / "data"))
        with started(home, "-m", "agent_orchestration", *words) as process:
            caller = ToolCaller(first_line(process)["url"])
            caller.call("create_task", {"title": "The first"})
            took = time.perf_counter() - began
            caller.close()
    return took


def _import() -> float:
    with folder() as home:
        return _timed(lambda: answer(home, "-c", "import fastmcp"))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _lifecycles(quick: bool) -> list[Row]:
    times = range(_QUICK_RATES if quick else _RATES)
    try:
        with engines(quick=quick) as servers:
            turns = [(_rate(quick), _rate(quick, servers)) for _ in times]
    except NotHere as error:
        return [_row(quick, "decided", [(_rate(quick), {})], f"not measured: {error}")]
    return [_row(quick, name, turns) for name in _UNTIL]


def _rate(quick: bool, servers: Engines | None = None) -> dict[str, float]:
    count = ("--count", str(_QUICK_COUNT if quick else _COUNT))
    words = ("--config", str(servers.installation())) if servers is not None else ()
    with folder() as home:
        return json.loads(answer(home, "-m", "bench.lifecycles", *count, *words))


def _row(
    quick: bool, name: str, turns: list[tuple[dict[str, float], dict[str, float]]], note: str = ""
) -> Row:
    ours = statistics.median(embedded[name] for embedded, _ in turns)
    beside = None if note else statistics.median(shared[name] for _, shared in turns)
    what = f"embedded: lifecycles, {CLIENTS} clients on the command bus, {_UNTIL[name]}, beside"
    what = f"{what} Kafka and Neo4j"
    goal = at_least(1)
    return compared("P7", what, "1/s", (ours, beside), goal, quick=quick, note=note, durability="P")


FIGURE = Figure("P7", "the embedded server: its start, and its lifecycles a second", measure)
