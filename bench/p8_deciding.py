"""P8: what a command of a task's lifecycle costs in memory, in rounds of a plain Python loop."""

import random
import statistics
import time
from collections.abc import Callable, Sequence

from agent_orchestration.core.messages import Body, Event
from agent_orchestration.pipeline.deciding import Asked
from bench.company import Desk, company
from bench.results import Figure, Goal, Row, at_most, compared

MOST_ROUNDS = 30
MOST_GROWTH = 1.5
AGENTS = 1000
FEW, MANY = 1000, 100_000
_TURNS, _QUICK_TURNS = 50, 2
_LIFECYCLES, _QUICK_LIFECYCLES = 100, 5
_ROUNDS, _QUICK_ROUNDS = 20_000, 100
"""Of a turn: in all turns together a million."""


class _Thing:
    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name


class Loop:
    """The loop: look an object up in a dict, write an attribute of it, make another one."""

    def __init__(self, size: int = 1000, *, shuffled: bool = False) -> None:
        self._things = {f"thing-{number}": _Thing(number, "x") for number in range(size)}
        self._keys = list(self._things)
        if shuffled:
            random.Random(size).shuffle(self._keys)
        self._next = 0

    def seconds(self, rounds: int) -> float:
        """CPU seconds a round."""
        things, keys, first = self._things, self._keys, self._next
        size = len(keys)
        self._next += rounds
        began = time.thread_time()
        for number in range(first, first + rounds):
            found = things[keys[number % size]]
            found.number = number
            _Thing(number, "y")
        return (time.thread_time() - began) / rounds


class Tenant:
    """A tenant whose lifecycles are timed, each step for many tasks one after the other."""

    def __init__(self, agents: int, live: int) -> None:
        self.desk = Desk(company(agents, live))
        self._agents = agents
        self._chance = random.Random(live)

    def whole(self, lifecycles: int) -> float:
        """CPU seconds a command: decided, encoded, hashed, decoded, folded, its rows checked."""
        return self._seconds(lifecycles, self.desk.decide)

    def rules(self, lifecycles: int) -> float:
        """CPU seconds a command of `decide`, `evolve` and the indexes alone."""
        return self._seconds(lifecycles, self.desk.decide_and_evolve)

    def _seconds(
        self, count: int, decide: Callable[[list[Asked]], Sequence[Event | Body]]
    ) -> float:
        agents = [self._chance.randrange(self._agents) for _ in range(count)]
        told: list[Body] = []
        seconds = 0.0
        for step in range(3):
            asked = self._asked(step, agents, told)
            began = time.thread_time()
            outcomes = decide(asked)
            seconds += time.thread_time() - began
            told = [one.reply() if isinstance(one, Event) else one for one in outcomes]
        self.desk.forget(told)
        return seconds / (3 * count)

    def _asked(self, step: int, agents: list[int], told: list[Body]) -> list[Asked]:
        if step == 0:
            return self.desk.creations(agents)
        return self.desk.claims(agents) if step == 1 else self.desk.completions(told)


def measure(quick: bool) -> list[Row]:
    """All sides in turns; medians."""
    turns = _QUICK_TURNS if quick else _TURNS
    count = _QUICK_LIFECYCLES if quick else _LIFECYCLES
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    agents, few, many = (5, 50, 100) if quick else (AGENTS, FEW, MANY)
    small, large = Tenant(agents, few), Tenant(agents, many)
    loop, scattered = Loop(), Loop(many, shuffled=True)
    figures = [
        (
            small.whole(count),
            large.whole(count),
            large.rules(count),
            loop.seconds(rounds),
            scattered.seconds(rounds),
        )
        for _ in range(turns)
    ]
    seconds = [statistics.median(column) for column in zip(*figures, strict=True)]
    return _rows(*(one * 1e6 for one in seconds), quick=quick)


def _rows(
    small: float, large: float, rules: float, loop: float, scattered: float, *, quick: bool
) -> list[Row]:
    many = f"{MANY:,} live tasks, {AGENTS:,} agents"
    whole = "a command decided, encoded, hashed, decoded, folded, its rows checked"
    beside = f"beside a round over {MANY:,} objects in no order"
    goal = at_most(MOST_ROUNDS)
    few = f"the same as the first, {FEW:,} live tasks, beside a round over 1,000 objects"
    growth = "the first beside the same with fewer live tasks"
    return [
        _row(f"{whole}; {many}; {beside}", large, scattered, goal, quick),
        _row(f"decide, evolve and indexes alone; {many}; {beside}", rules, scattered, goal, quick),
        _row(growth, large, small, at_most(MOST_GROWTH), quick),
        _orientation(few, small, loop),
        _orientation("decide, evolve and indexes alone, beside the same round", rules, loop),
    ]


def _orientation(what: str, ours: float, beside: float) -> Row:
    """Beside a loop that the processor's cache holds as a whole, as no tenant of any size is."""
    return compared("P8", what, "µs", (ours, beside), note="proves no goal", durability="–")


def _row(what: str, ours: float, beside: float, goal: Goal, quick: bool) -> Row:
    return compared("P8", what, "µs", (ours, beside), goal, quick=quick, durability="–")


FIGURE = Figure("P8", "what deciding and folding a command costs, in rounds of a loop", measure)
