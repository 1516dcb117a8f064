"""What a tenant's events may say of money: the part of the model that knows budgets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.log_chain import Chain
from tests.e2e.log_entities import Record, Task

OPEN = ("reserved", "unconfirmed")


@dataclass
class Budget:
    """What may be spent, and what is or may be on the way to it."""

    limit: int
    counted: int = 0


@dataclass
class Spend:
    """A call, and what it counts as at the moment."""

    budgets: list[str]
    amount: int
    counted: int
    status: str = "reserved"


class Spending(Chain):
    """What is limited and spent, followed event by event."""

    def __init__(self, name: str, commands: dict[tuple[int, int], Record]) -> None:
        super().__init__(name, commands)
        self.budgets: dict[str, Budget] = {}
        self.spends: dict[str, Spend] = {}
        self._reserved: dict[str, list[str]] = {}

    def holding(self, type_: str, event: dict[str, Any]) -> Task:
        """The task that the event's agent must hold under the event's attempt."""
        raise NotImplementedError

    def attempt_ended(self, task_id: str) -> None:
        """What is still reserved for the task counts, and nobody has to hold anything to say what
        it cost."""
        for spend in map(self.spends.__getitem__, self._reserved.pop(task_id, ())):
            if spend.status == "reserved":
                spend.status = "unconfirmed"

    def spending_steps(self) -> dict[str, Callable[[str, dict[str, Any]], None]]:
        """Type of event -> what it means."""
        return {
            "BudgetSet": self._budget_set,
            "SpendReserved": self._spend_reserved,
            "SpendSettled": self._spend_ended,
            "SpendReleased": self._spend_ended,
        }

    def _budget_set(self, _type: str, event: dict[str, Any]) -> None:
        named = [f"{one}:{event[f'{one}_id']}" for one in ("team", "agent", "task")]
        wanted = [one for one in named if not one.endswith(":None")] or ["tenant"]
        if wanted != [event["budget_id"]]:
            self.wrong("one budget for one thing", f"{event['budget_id']} limits {wanted}")
        budget = self.budgets.setdefault(event["budget_id"], Budget(0))
        budget.limit = event["limit_micros"]

    def _spend_reserved(self, type_: str, event: dict[str, Any]) -> None:
        spend_id, task_id, amount = event["spend_id"], event["task_id"], event["amount_micros"]
        task = self.holding(type_, event)
        if spend_id in self.spends:
            self.wrong("ids are unique", f"spend {spend_id} is reserved again")
        apply = {"tenant", f"agent:{event['agent_id']}", f"task:{task_id}"}
        apply |= {f"task:{task.plan}", f"team:{task.team}"}
        charged = sorted(apply & self.budgets.keys())
        if charged != event["budget_ids"]:
            self.wrong("charged at every level", f"{spend_id}: {event['budget_ids']}")
        for one in charged:
            budget = self.budgets[one]
            budget.counted += amount
            if budget.counted > budget.limit:
                self.wrong("limits hold", f"{one}: {budget.counted} of {budget.limit}")
        self.spends[spend_id] = Spend(charged, amount, amount)
        self._reserved.setdefault(task_id, []).append(spend_id)

    def _spend_ended(self, type_: str, event: dict[str, Any]) -> None:
        spend = self.spends[event["spend_id"]]
        if spend.status not in OPEN:
            self.wrong("finished is final", f"spend {event['spend_id']} was {spend.status}")
        cost = event.get("cost_micros", 0)
        if event.get("overrun_micros", 0) != max(cost - spend.amount, 0):
            self.wrong("overruns are told", f"{event['spend_id']}: {cost} of {spend.amount}")
        for one in spend.budgets:
            self.budgets[one].counted += cost - spend.counted
        spend.counted, spend.status = cost, type_
