"""Logs that earlier versions wrote are read, and decided again, as they were; only raised rules
bring new answers."""

import json
from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import shape_of
from agent_orchestration.core.envelope import EventEnvelope
from agent_orchestration.core.folding import RULES, fold, tenant_row
from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.commands import AssignTask, CompleteTask, FailTask
from agent_orchestration.domain.tasks.events import TaskAssigned, TaskCreated, TaskFailed
from agent_orchestration.domain.tasks.model import Task
from agent_orchestration.domain.tenants.events import RulesRaised
from agent_orchestration.pipeline.chains import End, Verifier
from agent_orchestration.pipeline.deciding import Asked, Decider, Outcome
from agent_orchestration.pipeline.due import next_due
from agent_orchestration.pipeline.topology import EVENTS, PARTITIONS, SYSTEM_EVENTS
from tests.integration.keep_log import plain
from tests.unit.domain import replay
from tests.unit.kept_log import VERSIONS, KeptLog

every_version = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def kept(version: str) -> KeptLog:
    return KeptLog(version)


# ── every version that was kept


@every_version
def test_a_kept_log_folds_to_what_the_graph_showed_then(kept: KeptLog) -> None:
    shown: dict[str, list[dict[str, Any]]] = {label: [] for label in kept.nodes}
    for tenant, history in kept.events.items():
        state = replay(history, tenant)
        shown["Tenant"].append(plain(tenant_row(state, next_due(state)), "Tenant"))
        for label in shown.keys() - {"Tenant"}:
            cls = REGISTRY.entities[label]
            rows = [shape_of(cls).row(tenant, entity) for entity in state.all(cls)]
            shown[label] += [plain(row, label) for row in rows]
    for label, rows in shown.items():
        assert sorted(rows, key=lambda row: row["id"]) == kept.nodes[label], label


@every_version
def test_a_kept_log_is_whole(kept: KeptLog) -> None:
    ends = {tenant: End(its[-1].seq, its[-1].digest) for tenant, its in kept.events.items()}
    verifier = Verifier(PARTITIONS, ends)
    assert [p for record in kept.records[EVENTS] for p in verifier.take(record)] == []
    assert list(verifier.ended((kept.epoch + 1, 0))) == []


@every_version
def test_kept_commands_are_decided_again_as_they_were(kept: KeptLog) -> None:
    rejections = {record.headers["ce_id"]: record for record in kept.records[SYSTEM_EVENTS]}
    decided = refused = 0
    for tenant, commands in kept.commands.items():
        for asked in commands:
            outcome = Decider(REGISTRY).decide(first_rules(kept, asked), asked)
            then = kept.led_to(asked)
            assert (outcome.folded is not None) == (then is not None), asked
            if outcome.folded is not None and then is not None:
                record = outcome.folded.envelope.to_record()
                assert in_old_form(record.headers, record.value, then.headers) == (
                    dict(then.headers),
                    then.value,
                )
                decided += 1
            error = rejections.pop(f"rejection:{asked.envelope.id}", None)
            assert (outcome.rejection is not None) == (error is not None), asked
            if outcome.rejection is not None and error is not None:
                # What a refusal says may become clearer, what it is may not change.
                now, was = json.loads(outcome.rejection.value), json.loads(error.value)
                assert {**now, "reason": was["reason"]} == was
                refused += 1
        assert tenant in kept.events
    assert decided == len(kept.records[EVENTS])
    assert refused == len(kept.records[SYSTEM_EVENTS])
    assert not rejections


def first_rules(kept: KeptLog, asked: Asked) -> Any:
    """The state before the command; a new tenant began with the rules of its first event."""
    state = kept.before(asked)
    if not state.seq:
        state.rules = kept.events[asked.envelope.tenant][0].rules
    return state


def in_old_form(headers: dict[str, str], value: bytes, then: Any) -> tuple[dict[str, str], bytes]:
    """A record without what was not there then: the header of the rules, and what a later version
    of the event added."""
    headers = {name: text for name, text in headers.items() if name in then or name != "ce_rules"}
    version, name = int(then["ce_dataversion"]), headers["ce_type"]
    body = json.loads(value)
    for added in ADDED.get((name, version), ()):
        assert body.pop(added) is None
    headers["ce_dataversion"] = str(version)
    return headers, value if version == REGISTRY.events[name].VERSION else canonical(body)


ADDED = {("TaskCreated", 1): ("team_id",)}
"""What versions of events after the one that was kept added without rules of their own."""


# ── the first version


FIRST = "0.1"


@pytest.fixture
def first() -> KeptLog:
    return KeptLog(FIRST)


def test_the_first_version_wrote_of_no_rules_and_no_teams(first: KeptLog) -> None:
    assert all("ce_rules" not in record.headers for record in first.records[EVENTS])
    envelopes = [one for history in first.events.values() for one in history]
    assert {one.rules for one in envelopes} == {1}
    created = [one for one in envelopes if one.type == "TaskCreated"]
    assert {one.version for one in created} == {1}
    assert all("team_id" not in json.loads(one.body) for one in created)
    for tenant, history in first.events.items():
        state = REGISTRY.new_state(tenant)
        for envelope in history:
            event = fold(REGISTRY, state, envelope).event
            if isinstance(event, TaskCreated):
                assert (TaskCreated.VERSION, event.team_id, event.agent_id) == (3, None, None)
        assert state.rules == 1


def asked(kept: KeptLog, kind: type[Command], **fields: Any) -> Asked:
    """The first kept command of a kind with these fields."""
    return next(
        one
        for one in kept.commands["default"]
        if isinstance(one.command, kind)
        and all(getattr(one.command, name) == value for name, value in fields.items())
    )


def under_new_rules(kept: KeptLog, asked: Asked) -> Outcome:
    """What the command comes to when the rules were raised just before it."""
    state = kept.before(asked)
    raised = EventEnvelope(
        tenant=state.tenant,
        seq=state.seq + 1,
        prev=state.prev,
        type="RulesRaised",
        version=1,
        at=state.at,
        body=canonical(RulesRaised(rules=RULES)),
        command_id="raise",
        command_position=state.position,
        actor="me",
        receipt_key="id:raise",
        body_hash="",
        rules=state.rules,
    )
    fold(REGISTRY, state, raised)
    outcome = Decider(REGISTRY).decide(state, asked)
    if outcome.folded is not None:
        assert outcome.folded.envelope.rules == RULES
    return msgspec.structs.replace(outcome, asked=asked)


def told(kept: KeptLog, asked: Asked) -> Any:
    """The event that the command led to then."""
    record = kept.led_to(asked)
    assert record is not None
    version = int(record.headers["ce_dataversion"])
    return REGISTRY.decode_event(record.headers["ce_type"], version, record.value)


def test_raised_rules_let_a_task_that_was_given_back_go_on(first: KeptLog) -> None:
    given_back = asked(first, FailTask, task_id="drained", error_type="worker_stopped")
    then = told(first, given_back)
    assert isinstance(then, TaskFailed)
    assert then.retry_at is None
    now = under_new_rules(first, given_back).folded
    assert now is not None
    assert isinstance(now.event, TaskFailed)
    assert now.event.retry_at == given_back.timestamp
    task = next(one.entity for one in now.touched.values() if isinstance(one.entity, Task))
    assert (task.status, task.attempt, task.given_back) == ("ready", 1, 1)


def test_raised_rules_push_no_work_to_agents_that_are_offline(first: KeptLog) -> None:
    for task in ("build", "wanted"):
        pushed = asked(first, AssignTask, task_id=task, agent_id="ann")
        assert isinstance(told(first, pushed), TaskAssigned)
        error = under_new_rules(first, pushed).result.error
        assert error is not None
        assert error["code"] == "agent_offline"


def test_raised_rules_take_the_end_of_a_task_as_a_sign_of_life(first: KeptLog) -> None:
    done = asked(first, CompleteTask, task_id="wanted")
    kept_agents = replay(first.events["default"]).all(Agent)
    assert next(one for one in kept_agents if one.id == "ann").offline_at is not None
    now = under_new_rules(first, done).folded
    assert now is not None
    agent = next(one.entity for one in now.touched.values() if isinstance(one.entity, Agent))
    assert (agent.id, agent.offline_at, agent.seen_at) == ("ann", None, done.timestamp)
