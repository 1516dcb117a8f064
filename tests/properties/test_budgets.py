"""Fifty agents who spend at once under limits at three levels, some of whom are killed: no
reservation exceeds a limit, nothing is refused that fits, and every sum is exact."""

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestration.core.messages import Command
from agent_orchestration.domain.budgets.commands import (
    ReleaseSpend,
    ReserveSpend,
    SetBudget,
    SettleSpend,
)
from agent_orchestration.domain.budgets.model import Budget, Spend
from agent_orchestration.domain.tasks.commands import ClaimTask, ExpireLease
from agent_orchestration.domain.tasks.model import HELD, Task
from agent_orchestration.pipeline.deciding import Outcome
from tests.properties.graph_model import Batch, GraphModel, Reader, everything
from tests.properties.histories import History, facts
from tests.unit.examples import agent, part, plan

AGENTS = 50
PLANS = ("red", "blue")


class Action(msgspec.Struct, frozen=True):
    """What an agent does next, or an operator; the command may come again, as it is or under a new
    id."""

    kind: str
    agent: int
    micros: int
    again: int


ACTIONS = st.builds(
    Action,
    kind=st.sampled_from(["reserve"] * 6 + ["settle"] * 3 + ["release", "crash", "crash", "limit"]),
    agent=st.integers(0, AGENTS - 1) | st.integers(0, 2),
    # Sums that are a limit of 300, or just beyond it.
    micros=st.sampled_from([0, 1, 99, 100, 101, 200]),
    again=st.integers(0, 4),
)


class Office:
    """The platform's tenant, and a model of what it should know of money: what each spend counts
    as, for whom and for which plan, with an amount that is reserved apart from one that is
    spent."""

    def __init__(self) -> None:
        self.history = History()
        self.reserved: dict[str, int] = {}
        self.spent: dict[str, int] = {}
        self.levels: dict[str, tuple[str, ...]] = {}
        self.limits: dict[str, int] = {}
        self._number = 0
        for name in PLANS:
            parts = (part(f"t{n}") for n in range(AGENTS // len(PLANS)))
            self._ask(plan(*parts, plan_id=name))
        for n in range(AGENTS):
            self._ask(agent(f"a{n}"))
            self._ask(ClaimTask(agent_id=f"a{n}"))
        self._set("tenant", SetBudget(limit_micros=4000))
        for name in PLANS:
            self._set(f"task:{name}", SetBudget(limit_micros=2500, task_id=name))
        for n in range(AGENTS):
            self._set(f"agent:a{n}", SetBudget(limit_micros=300, agent_id=f"a{n}"))

    def act(self, action: Action) -> None:
        """One step, and what the model expects of it."""
        match action.kind:
            case "reserve":
                self._reserve(action)
            case "limit":
                names = sorted(self.limits)
                name = names[action.agent % len(names)]
                kind, _, whose = name.partition(":")
                command = SetBudget(
                    limit_micros=action.micros * 20,
                    agent_id=whose if kind == "agent" else None,
                    task_id=whose if kind == "task" else None,
                )
                self._set(name, command, action.again)
            case "crash":
                self._crash(action)
            case _:
                self._end(action)
        self.check()

    def counted(self, level: str) -> tuple[int, int]:
        """What is spent and reserved at a level."""
        spends = [one for one, levels in self.levels.items() if level in levels]
        spent = sum(self.spent.get(one, 0) for one in spends)
        return spent, sum(self.reserved.get(one, 0) for one in spends)

    def check(self) -> None:
        """Every budget has the model's sums."""
        for budget in self.history.state.all(Budget):
            assert (budget.spent_micros, budget.reserved_micros) == self.counted(budget.id)
            assert budget.limit_micros == self.limits[budget.id]
        assert {spend.id for spend in self.history.state.all(Spend)} == self.levels.keys()

    def _reserve(self, action: Action) -> None:
        task = self._held(f"a{action.agent}")
        self._number += 1
        spend_id, levels = f"s{self._number}", ("tenant", f"task:{task.parent_id}")
        levels = (*levels, f"agent:a{action.agent}")
        fits = all(sum(self.counted(one)) + action.micros <= self.limits[one] for one in levels)
        command = ReserveSpend(
            spend_id=spend_id,
            task_id=task.id,
            agent_id=f"a{action.agent}",
            attempt=task.attempt,
            model="m",
            amount_micros=action.micros,
        )
        if fits:
            self.levels[spend_id], self.reserved[spend_id] = levels, action.micros
        outcome = self._ask(command, action.again)
        assert (outcome.result.status == "accepted") == fits
        if not fits:
            assert outcome.result.error is not None
            assert outcome.result.error["code"] == "budget_exceeded"

    def _end(self, action: Action) -> None:
        """A call that goes on ends, or one of which nobody knew; what it cost may be more than was
        reserved."""
        live = sorted(one.id for one in self.history.state.all(Spend) if one.is_live())
        if not live:
            return
        spend = self.history.state.get(Spend, live[action.agent % len(live)])
        assert spend is not None
        assert spend.agent_id is not None
        cost = action.micros if action.kind == "settle" else 0
        command: Command = ReleaseSpend(spend_id=spend.id, agent_id=spend.agent_id)
        if action.kind == "settle":
            command = SettleSpend(spend_id=spend.id, agent_id=spend.agent_id, cost_micros=cost)
        self.reserved.pop(spend.id, None)
        self.spent[spend.id] = cost
        assert self._ask(command, action.again).result.status == "accepted"

    def _crash(self, action: Action) -> None:
        """The agent is killed: its lease runs out, and what it had reserved counts. Then it begins
        anew."""
        task = self._held(f"a{action.agent}")
        its = [
            one.id
            for one in self.history.state.all(Spend)
            if one.id in self.reserved and one.task_id == task.id
        ]
        for one in its:
            self.spent[one] = self.reserved.pop(one)
        self.history.now += 61_000
        self._ask(ExpireLease(task_id=task.id, attempt=task.attempt), action.again)
        self._ask(ClaimTask(agent_id=f"a{action.agent}"))

    def _held(self, agent_id: str) -> Task:
        its = (one for one in self.history.state.all(Task) if one.status in HELD)
        return next(one for one in its if one.held_by(agent_id))

    def _set(self, name: str, command: SetBudget, again: int = 0) -> None:
        self.limits[name] = command.limit_micros
        self._ask(command, again)

    def _ask(self, command: Command, again: int = 0) -> Outcome:
        """Once, and then some of: the same envelope, the same request under a new id."""
        outcome = self.history.ask(command)
        if again == 1:
            self.history.ask_again(outcome.asked.envelope)
        elif again == 2:
            self.history.ask(command)
        return outcome


@settings(max_examples=30)
@given(st.lists(ACTIONS, min_size=20, max_size=150))
def test_no_number_of_agents_exceeds_a_budget_and_every_sum_is_exact(made: list[Action]) -> None:
    office = Office()
    for action in made:
        office.act(action)
    state = office.history.state

    async def as_loaded() -> None:
        graph = GraphModel()
        await Reader(graph, state.tenant).read(office.history.envelopes, [Batch(size=9)])
        loaded = await everything(graph, state)
        assert facts(loaded)["entities"] == facts(state)["entities"]

    asyncio.run(as_loaded())
