"""The independent checker of logs finds what it is there to find.

A history is decided by the real rules, changed in one place, written to a log, and checked.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_orchestration.backends.blobs import FolderBlobs
from agent_orchestration.backends.log import Log
from agent_orchestration.backends.log.claim_check import ClaimCheckLog
from agent_orchestration.backends.log.sqlite import SqliteLog
from agent_orchestration.core.envelope import CommandEnvelope, EventEnvelope, command_body
from agent_orchestration.core.messages import Command, Principal
from agent_orchestration.core.module import Registry
from agent_orchestration.core.state import GENESIS
from agent_orchestration.domain import (
    agents,
    budgets,
    capabilities,
    conversations,
    insight,
    plans,
    tasks,
    teams,
    templates,
    tenants,
)
from agent_orchestration.domain.agents.commands import DrainAgent, RegisterAgent, RetireAgent
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.domain.budgets.commands import SetBudget
from agent_orchestration.domain.conversations.commands import (
    CloseConversation,
    OpenConversation,
    SendMessage,
)
from agent_orchestration.domain.plans.commands import PlanTaskSpec, SubmitPlan, TeamSpec
from agent_orchestration.domain.tasks.commands import (
    CancelTask,
    ClaimTask,
    CompleteTask,
    CreateTask,
    ExpireLease,
    FailTask,
    ReleaseTask,
    ReportProgress,
)
from agent_orchestration.domain.tasks.model import DependencySpec, RequirementSpec, RetryPolicy
from agent_orchestration.domain.teams.commands import (
    DisbandTeam,
    FormTeam,
    MemberSpec,
    UpdateTeam,
)
from agent_orchestration.domain.templates.commands import DefineTemplate, InstantiateAgent
from agent_orchestration.domain.tenants.commands import RaiseRules
from agent_orchestration.pipeline.deciding import Asked, Decider
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS, topics
from tests.e2e.check_log import check_folder, main
from tests.unit.examples import release, reserve, settle

MODULES = (
    agents,
    capabilities,
    templates,
    teams,
    tasks,
    plans,
    conversations,
    budgets,
    tenants,
    insight,
)
REGISTRY = Registry(module.MODULE for module in MODULES)
TENANT = "default"
SECOND = 1000

Story = list[tuple[int, Command]]
History = list[EventEnvelope]
Change = Callable[[History], History]


def story() -> Story:
    """(second, command): two agents, a fork, a failure, a lost lease, a cancellation."""
    skill = (SkillClaim("work"),)
    needs = (RequirementSpec("work", 1000),)
    after_a = (DependencySpec("a"),)
    return [
        (0, RegisterAgent(agent_id="one", name="one", kind="function", skills=skill)),
        (0, RegisterAgent(agent_id="two", name="two", kind="function", skills=skill)),
        (0, RegisterAgent(agent_id="odd", name="odd", kind="function")),
        (1, CreateTask(task_id="a", title="a", requires=needs)),
        (1, CreateTask(task_id="b", title="b", requires=needs, depends_on=after_a)),
        (1, CreateTask(task_id="c", title="c", requires=needs, depends_on=after_a)),
        (1, CreateTask(task_id="d", title="d", requires=needs, depends_on=after_a)),
        (2, ClaimTask(agent_id="one", lease_seconds=10)),
        (3, ReportProgress(task_id="a", agent_id="one", attempt=1, progress="1")),
        (4, CompleteTask(task_id="a", agent_id="one", attempt=1, result="1")),
        (5, ClaimTask(agent_id="one", lease_seconds=10)),
        (5, ClaimTask(agent_id="two", lease_seconds=10)),
        (6, FailTask(task_id="b", agent_id="one", attempt=1, error="no", retry_after_ms=2000)),
        (8, ReleaseTask(task_id="b", attempt=1)),
        (16, ExpireLease(task_id="c", attempt=1)),
        (17, ClaimTask(agent_id="two", lease_seconds=10)),
        (18, RetireAgent(agent_id="two", force=True)),
        (19, CancelTask(task_id="d")),
        (20, DrainAgent(agent_id="one")),
    ]


def company() -> Story:
    """Two teams, three plans, the last one larger than a record."""
    skill = SkillClaim("work")
    parts = (
        PlanTaskSpec(task_id="a", requires=(RequirementSpec("work", 1000),)),
        PlanTaskSpec(task_id="b", depends_on=(DependencySpec("a", "cancel"),)),
        PlanTaskSpec(task_id="c", depends_on=(DependencySpec("b", "cancel"),)),
    )
    many = tuple(PlanTaskSpec(task_id=f"t{n}", description="x" * 90) for n in range(1000))
    return [
        (0, DefineTemplate(name="worker", kind="function", skills=(skill,), max_concurrency=2)),
        (0, InstantiateAgent(template="worker", agent_id="one")),
        (0, InstantiateAgent(template="worker", agent_id="two")),
        (1, FormTeam(team_id="crew", goal="x", members=(MemberSpec("one"),))),
        (1, SubmitPlan(plan_id="p", title="p", tasks=parts, team_id="crew")),
        (1, SubmitPlan(plan_id="q", title="q", tasks=parts, form_team=TeamSpec())),
        (2, ClaimTask(agent_id="one", lease_seconds=10)),
        (3, CompleteTask(task_id="p.a", agent_id="one", attempt=1)),
        (4, UpdateTeam(team_id="crew", add=(MemberSpec("two"),), remove=("one",))),
        (5, ClaimTask(agent_id="two", lease_seconds=10)),
        (5, ClaimTask(agent_id="one", lease_seconds=10)),
        (6, FailTask(task_id="q.a", agent_id="one", attempt=1, error="no", retryable=False)),
        (7, CreateTask(task_id="after", title="x", depends_on=(DependencySpec("p", "cancel"),))),
        (8, CancelTask(task_id="p")),
        (9, SubmitPlan(plan_id="many", title="many", tasks=many, team_id="crew")),
        (10, DisbandTeam(team_id="crew", force=True)),
        (11, ClaimTask(agent_id="one", lease_seconds=10)),
        (12, RetireAgent(agent_id="one", force=True)),
    ]


def upgraded() -> Story:
    """Under the first rules a task given back has used up its attempt; under the next it has not,
    but the loss of a lease still uses it up."""
    once = RetryPolicy(max_attempts=1)

    def give_back(task_id: str) -> FailTask:
        said = "worker_stopped"
        return FailTask(task_id=task_id, agent_id="one", attempt=1, error="x", error_type=said)

    return [
        (0, RegisterAgent(agent_id="one", name="one", kind="function")),
        (0, CreateTask(task_id="old", title="x", retry=once)),
        (0, CreateTask(task_id="new", title="x", retry=once)),
        (1, ClaimTask(agent_id="one", lease_seconds=10)),
        (2, give_back("old")),
        (3, RaiseRules(rules=2)),
        (4, ClaimTask(agent_id="one", lease_seconds=10)),
        (5, give_back("new")),
        (6, ClaimTask(agent_id="one", lease_seconds=10)),
        (16, ExpireLease(task_id="new", attempt=2)),
    ]


def talks() -> Story:
    """A team talks about a task; everybody about something else."""

    def say(conversation: str, agent: str, reply_to: int | None = None) -> SendMessage:
        return SendMessage(
            conversation_id=conversation, agent_id=agent, text="x", reply_to=reply_to
        )

    team = OpenConversation(
        conversation_id="team", topic="x", task_id="a", team_id="crew", agent_id="one", text="x"
    )
    return [
        *((0, RegisterAgent(agent_id=n, name=n, kind="llm")) for n in ("one", "two", "old")),
        (0, CreateTask(task_id="a", title="a")),
        (0, FormTeam(team_id="crew", goal="x", members=(MemberSpec("one"),))),
        (1, team),
        (2, say("team", "one", 1)),
        (3, OpenConversation(conversation_id="all", topic="x")),
        (4, say("all", "two")),
        (5, CloseConversation(conversation_id="team")),
        (6, RetireAgent(agent_id="old")),
        (7, say("all", "two", 1)),
        (8, CloseConversation(conversation_id="all")),
        (9, DisbandTeam(team_id="crew")),
    ]


def budgeted() -> Story:
    """A plan whose task spends: more than was reserved, nothing, and in an attempt that ends."""
    spending = functools.partial(reserve, task_id="p.a", agent_id="one")
    part = PlanTaskSpec(task_id="a")
    return [
        (0, RegisterAgent(agent_id="one", name="one", kind="function")),
        (0, FormTeam(team_id="crew", goal="x", members=(MemberSpec("one"),))),
        (0, SubmitPlan(plan_id="p", title="p", tasks=(part,), team_id="crew")),
        (1, SetBudget(limit_micros=100)),
        (1, SetBudget(limit_micros=90, task_id="p")),
        (1, SetBudget(limit_micros=80, team_id="crew")),
        (2, ClaimTask(agent_id="one", lease_seconds=10)),
        (3, spending("s1", 40)),
        (3, spending("s2", 40)),
        (4, release("s2", agent_id="one")),
        (5, settle("s1", 50, agent_id="one")),
        (6, spending("s3", 30)),
        (12, ExpireLease(task_id="p.a", attempt=1)),
        (13, settle("s3", 20, agent_id="one")),
        (14, ClaimTask(agent_id="one", lease_seconds=10)),
        (15, spending("s4", 10, attempt=2)),
    ]


async def decided(log: Log, clock: list[int], story: Story) -> History:
    """Append the story's commands to the log; the events that the rules answer them with."""
    state, decider, history = REGISTRY.new_state(TENANT), Decider(REGISTRY), History()
    for number, (second, command) in enumerate(story):
        clock[0] = second * SECOND
        envelope = CommandEnvelope(
            id=f"command-{number}",
            tenant=TENANT,
            type=type(command).__name__,
            body=command_body(command),
            principal=Principal("local", "admin"),
            key="first" if number == 0 else None,
        )
        [stamp] = await log.append(COMMANDS, 0, [envelope.to_record()])
        position = (log.epoch, stamp.offset)
        outcome = decider.decide(state, Asked(envelope, command, position, stamp.timestamp))
        assert outcome.folded is not None, outcome.result
        history.append(outcome.folded.envelope)
    return history


async def write(
    folder: Path, change: Change, told: Story | None = None, *, chained: bool = True
) -> dict[str, Any]:
    """A data folder whose history was changed; the checker's summary of it."""
    clock = [0]
    records = SqliteLog(folder / "log.sqlite", topics(REGISTRY), lambda: clock[0])
    log = ClaimCheckLog(records, FolderBlobs(folder / "blobs"))
    await log.start()
    prev = GENESIS
    for seq, event in enumerate(change(await decided(log, clock, told or story())), 1):
        written = msgspec.structs.replace(event, seq=seq, prev=prev) if chained else event
        prev = written.digest
        await log.append(EVENTS, 0, [written.to_record()])
    await log.stop()
    return check_folder(folder)


def rules(summary: dict[str, Any]) -> set[str]:
    return {violation["rule"] for violation in summary["violations"]}


def at(history: History, type_: str, task_id: str = "") -> int:
    """The index of the first event of that type (about that task)."""
    return next(
        index
        for index, event in enumerate(history)
        if event.type == type_ and is_about(json.loads(event.body), task_id)
    )


def is_about(body: dict[str, Any], entity_id: str) -> bool:
    """Whether an event's first id begins so."""
    names = ("conversation_id", "task_id", "plan_id", "team_id", "agent_id")
    named = (body.get(name) for name in names)
    return next((one for one in named if one is not None), "").startswith(entity_id)


def edited(type_: str, about: str = "", /, **fields: Any) -> Change:
    """Say something else in one event."""

    def change(history: History) -> History:
        index = at(history, type_, about)
        body = {**json.loads(history[index].body), **fields}
        told = msgspec.structs.replace(history[index], body=json.dumps(body).encode())
        return [*history[:index], told, *history[index + 1 :]]

    return change


def moved(type_: str, task_id: str, before: str, before_task: str) -> Change:
    """Let one event come before another."""

    def change(history: History) -> History:
        event = history[at(history, type_, task_id)]
        rest = [one for one in history if one is not event]
        index = at(rest, before, before_task)
        return [*rest[:index], msgspec.structs.replace(event, at=rest[index].at), *rest[index:]]

    return change


def repeated(type_: str, task_id: str = "", **envelope: Any) -> Change:
    """Let one event happen twice in a row, the second time by another command."""

    def change(history: History) -> History:
        index = at(history, type_, task_id)
        again = msgspec.structs.replace(history[index], **envelope)
        return [*history[: index + 1], again, *history[index + 1 :]]

    return change


def replaced(type_: str, **envelope: Any) -> Change:
    """Change one event's envelope."""

    def change(history: History) -> History:
        index = at(history, type_)
        told = msgspec.structs.replace(history[index], **envelope)
        return [*history[:index], told, *history[index + 1 :]]

    return change


def without(type_: str, task_id: str = "") -> Change:
    return lambda history: [e for i, e in enumerate(history) if i != at(history, type_, task_id)]


def unchanged(history: History) -> History:
    return history


async def test_a_history_by_the_rules_has_no_violations(tmp_path: Path) -> None:
    summary = await write(tmp_path, unchanged)
    assert summary["violations"] == []
    assert summary["ok"] is True
    tenant = summary["tenants"][TENANT]
    assert tenant["tasks"] == {"cancelled": 1, "completed": 1, "ready": 2}
    assert tenant["claims"] == 4
    assert tenant["most_tasks_held_at_once"] == 2


NEW: dict[str, Any] = {
    "command_id": "other",
    "receipt_key": "id:other",
    "command_position": (0, 9999),
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (moved("TaskClaimed", "b", "TaskCompleted", "a"), "dependency order"),
        (edited("TaskCreated", "b", unmet=[]), "dependency order"),
        (repeated("TaskClaimed", "a", **NEW), "one live claim"),
        (edited("TaskClaimed", "c", agent_id="one"), "max_concurrency"),
        (edited("TaskClaimed", "b", attempt=2), "attempts increase by one"),
        (edited("TaskClaimed", "a", attempt=0), "attempts increase by one"),
        (edited("TaskClaimed", "a", agent_id="odd"), "requirements are met"),
        (edited("TaskCreated", "a", agent_id="two"), "one agent only"),
        (moved("AgentDrained", "", "TaskClaimed", "a"), "agents at work take work"),
        (without("TaskFailed", "b"), "retries wait"),
        (edited("TaskFailed", "b", retry_at=60 * SECOND), "retries wait"),
        (edited("TaskClaimed", "c", lease_until=60 * SECOND), "leases last"),
        (edited("TaskCompleted", "a", attempt=7), "fencing"),
        (edited("TaskProgressed", "a", agent_id="two"), "fencing"),
        (edited("TaskClaimed", "a", started=False), "work is started first"),
        (repeated("TaskCancelled", "d", **NEW), "finished is final"),
        (edited("AgentRetired", requeued=[]), "retiring gives back"),
        (repeated("TaskCreated", "b", **NEW), "ids are unique"),
        (repeated("AgentRegistered", **NEW), "ids are unique"),
        (edited("TaskClaimed", "a", task_id="none"), "unknown id or field"),
        (without("TaskCompleted", "a"), "dependency order"),
        (repeated("AgentDrained"), "one event per command"),
        (repeated("AgentRegistered", command_id="x"), "one event per idempotency key"),
        (replaced("TaskCompleted", command_id="x"), "caused by its command"),
        (replaced("TaskCompleted", body_hash="x"), "caused by its command"),
        (replaced("TaskCompleted", at=0), "time does not go back"),
    ],
)
async def test_a_broken_promise_is_found(tmp_path: Path, change: Change, rule: str) -> None:
    assert rule in rules(await write(tmp_path, change))


async def test_a_company_by_the_rules_has_no_violations(tmp_path: Path) -> None:
    summary = await write(tmp_path, unchanged, company())
    assert summary["violations"] == []
    tenant = summary["tenants"][TENANT]
    # Of p: completed, cancelled, cancelled, and the plan; of q: failed, cancelled, cancelled, and
    # the plan; `after`; and the many with theirs, one of them taken once.
    statuses = {"completed": 1, "cancelled": 2 + 1 + 2 + 1, "failed": 2, "running": 1}
    assert tenant["tasks"] == {**statuses, "ready": 1000}
    assert tenant["teams"] == 1
    kept = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert len(kept) == 2, "the command and its event"


def with_tasks(change: Callable[[list[dict[str, Any]]], Any]) -> Change:
    """Say something else of the tasks of the plan p."""

    def apply(history: History) -> History:
        tasks = json.loads(history[at(history, "PlanSubmitted", "p")].body)["tasks"]
        change(tasks)
        return edited("PlanSubmitted", "p", tasks=tasks)(history)

    return apply


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (edited("TaskClaimed", "p.a", agent_id="two"), "members only"),
        (without("TeamUpdated"), "members only"),
        (edited("TeamFormed", "crew", members=[]), "members only"),
        (edited("TeamUpdated", "crew", left=["two"]), "members leave"),
        (edited("TeamDisbanded", left=[]), "members leave"),
        (edited("TeamDisbanded", released=[]), "disbanding gives back"),
        (repeated("TeamFormed", **NEW), "ids are unique"),
        (repeated("TeamDisbanded", **NEW), "finished is final"),
        (moved("TeamDisbanded", "crew", "PlanSubmitted", "many"), "disbanded teams get no work"),
        (edited("TeamUpdated", "crew", joined=[{"agent_id": "x"}]), "unknown id or field"),
        (moved("AgentRetired", "one", "TeamFormed", "crew"), "members are at work"),
        (repeated("PlanSubmitted", "p", **NEW), "ids are unique"),
        (repeated("AgentInstantiated", **NEW), "ids are unique"),
        (repeated("TaskCancelled", "p", **NEW), "finished is final"),
        (with_tasks(lambda tasks: tasks[1].update(unmet=0)), "dependency order"),
        (with_tasks(lambda tasks: tasks[0].update(task_id="odd")), "plans name their tasks"),
        (
            with_tasks(
                lambda tasks: tasks[0].update(
                    depends_on=[{"task_id": "p.c", "on_failure": "block"}], unmet=1
                )
            ),
            "plans have no circles",
        ),
        (moved("TaskCancelled", "p", "TaskClaimed", "p.b"), "only ready tasks are taken"),
        (edited("TaskClaimed", "many", attempt=2), "attempts increase by one"),
    ],
)
async def test_a_promise_of_teams_and_plans_that_is_broken_is_found(
    tmp_path: Path, change: Change, rule: str
) -> None:
    assert rule in rules(await write(tmp_path, change, company()))


def said(**fields: Any) -> dict[str, Any]:
    return {"kind": "message", "text": "x", "data": None, "to": None, "reply_to": None, **fields}


async def test_conversations_by_the_rules_have_no_violations(tmp_path: Path) -> None:
    assert (await write(tmp_path, unchanged, talks()))["violations"] == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (repeated("ConversationOpened", "all", **NEW), "ids are unique"),
        (edited("ConversationOpened", "all", task_id="none"), "unknown id or field"),
        (edited("ConversationOpened", "all", team_id="none"), "unknown id or field"),
        (
            moved("TeamDisbanded", "crew", "ConversationOpened", "team"),
            "disbanded teams get no work",
        ),
        (without("ConversationOpened", "all"), "unknown id or field"),
        (edited("ConversationOpened", "team", agent_id="two"), "members only"),
        (edited("ConversationOpened", "team", message=said(to="two")), "members only"),
        (edited("ConversationOpened", "team", message=said(reply_to=1)), "replies follow"),
        (edited("MessageSent", "team", agent_id="two"), "members only"),
        (edited("MessageSent", "team", message=said(to="two")), "members only"),
        (edited("MessageSent", "team", message=said(reply_to=2)), "replies follow"),
        (edited("MessageSent", "team", message=said(reply_to=0)), "replies follow"),
        (edited("MessageSent", "team", number=3), "messages are counted"),
        (repeated("MessageSent", "team", **NEW), "messages are counted"),
        (without("MessageSent", "all"), "messages are counted"),
        (moved("ConversationClosed", "all", "MessageSent", "all"), "finished is final"),
        (repeated("ConversationClosed", "all", **NEW), "finished is final"),
        (edited("AgentRetired", "old", agent_id="two"), "members are at work"),
    ],
)
async def test_a_promise_of_conversations_that_is_broken_is_found(
    tmp_path: Path, change: Change, rule: str
) -> None:
    assert rule in rules(await write(tmp_path, change, talks()))


async def test_a_history_of_two_versions_of_the_rules_has_no_violations(tmp_path: Path) -> None:
    summary = await write(tmp_path, unchanged, upgraded())
    assert summary["violations"] == []
    assert summary["tenants"][TENANT]["tasks"] == {"failed": 2}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (edited("TaskFailed", "old", retry_at=2 * SECOND), "attempts end"),
        (edited("TaskFailed", "new", error_type="error"), "attempts end"),
        (edited("TaskLeaseExpired", requeued=True), "attempts end"),
        (without("RulesRaised"), "rules in force"),
        (replaced("TaskLeaseExpired", rules=1), "rules in force"),
        (replaced("TaskLeaseExpired", rules=3), "rules in force"),
        (edited("RulesRaised", rules=1), "rules are raised"),
        (repeated("RulesRaised", **NEW), "rules are raised"),
    ],
)
async def test_a_promise_about_the_rules_that_is_broken_is_found(
    tmp_path: Path, change: Change, rule: str
) -> None:
    assert rule in rules(await write(tmp_path, change, upgraded()))


async def test_a_history_within_its_budgets_has_no_violations(tmp_path: Path) -> None:
    summary = await write(tmp_path, unchanged, budgeted())
    assert summary["violations"] == []
    assert summary["events"]["SpendReserved"] == 4


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (edited("SpendReserved", amount_micros=41), "limits hold"),
        (edited("BudgetSet", "crew", limit_micros=79), "limits hold"),
        (without("SpendReleased"), "limits hold"),
        (edited("SpendSettled", cost_micros=51, overrun_micros=11), "limits hold"),
        (edited("SpendSettled", overrun_micros=0), "overruns are told"),
        (edited("SpendReserved", budget_ids=["task:p", "tenant"]), "charged at every level"),
        (edited("SpendReserved", attempt=2), "fencing"),
        (moved("SpendSettled", "", "SpendReserved", "p.a"), "unknown id or field"),
        (repeated("SpendReserved", **NEW), "ids are unique"),
        (repeated("SpendSettled", **NEW), "finished is final"),
        (edited("BudgetSet", "crew", team_id="other"), "one budget for one thing"),
    ],
)
async def test_a_promise_about_money_that_is_broken_is_found(
    tmp_path: Path, change: Change, rule: str
) -> None:
    assert rule in rules(await write(tmp_path, change, budgeted()))


@pytest.mark.parametrize("damage", ["missing", "changed"])
async def test_a_value_that_is_kept_elsewhere_has_to_be_there(tmp_path: Path, damage: str) -> None:
    await write(tmp_path, unchanged, company())
    for path in [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]:
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(content.replace(b"many", b"more"))
        assert rules(check_folder(tmp_path)) & {"prev chain", "caused by its command"}
        path.write_bytes(content)
    assert check_folder(tmp_path)["ok"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (without("TaskCancelled"), "seq without gaps"),
        (repeated("TaskCancelled"), "seq without gaps"),
        (edited("TaskCreated", "a", title="another"), "prev chain"),
        (replaced("TaskCreated", actor="somebody"), "prev chain"),
    ],
)
async def test_a_changed_history_does_not_hold_together(
    tmp_path: Path, change: Change, rule: str
) -> None:
    summary = await write(tmp_path, change, chained=False)
    assert rule in rules(summary)
    assert summary["ok"] is False


async def test_the_exit_code_says_whether_promises_were_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, change in ((good, unchanged), (bad, without("TaskCompleted", "a"))):
        folder.mkdir()
        await write(folder, change)
    assert main([str(good)]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main([str(bad)]) == 1
    assert json.loads(capsys.readouterr().out)["violation_count"] > 0
    assert main([str(tmp_path)]) == 2
    assert main([]) == 2
