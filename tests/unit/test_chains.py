"""Whatever is changed, lost or moved in the histories of a log is found."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import CommandEnvelope, StoredRecord, command_body
from agent_orchestration.core.messages import Principal
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.pipeline.chains import End, Problem, Verifier
from agent_orchestration.pipeline.deciding import Asked, Decider
from agent_orchestration.pipeline.partitions import partition_of

PARTITIONS = 4
EVENTS = 6
COMMANDS_END = (1, EVENTS)
#: What an event says beside its chain; nothing is decided or folded by it.
UNCHAINED = {"ce_correlation", "ce_causation", "ce_traceparent", "ce_commandposition"}


def history(tenant: str) -> tuple[list[StoredRecord], End]:
    """Some events as the log has them, and what the graph has then."""
    state, decider = REGISTRY.new_state(tenant), Decider(REGISTRY)
    partition = partition_of(tenant, PARTITIONS)
    records: list[StoredRecord] = []
    for number in range(EVENTS):
        command = CreateTask(title=f"Task {number}")
        envelope = CommandEnvelope(
            id=f"{tenant}-{number:012}",
            tenant=tenant,
            type="CreateTask",
            body=command_body(command),
            principal=Principal("ann", "operator"),
            correlation="c",
        )
        outcome = decider.decide(state, Asked(envelope, command, (1, number), 1000 + number))
        assert outcome.folded is not None
        record = outcome.folded.envelope.to_record()
        records.append(
            StoredRecord(
                "events", partition, number, 1000, record.key, record.value, record.headers
            )
        )
    return records, End(state.seq, state.prev)


ACME, ACME_END = history("acme")
OTHERS, OTHERS_END = history("others")
ENDS = {"acme": ACME_END, "others": OTHERS_END}


def problems(
    records: Iterable[StoredRecord], ends: Mapping[str, End] = ENDS, tenant: str | None = None
) -> list[Problem]:
    verifier = Verifier(PARTITIONS, ends, tenant)
    found = [problem for record in records for problem in verifier.take(record)]
    return [*found, *verifier.ended(COMMANDS_END)]


def codes(records: Iterable[StoredRecord], ends: Mapping[str, End] = ENDS) -> set[str]:
    return {problem.code for problem in problems(records, ends)}


def with_header(record: StoredRecord, name: str, text: str) -> StoredRecord:
    return msgspec.structs.replace(record, headers={**record.headers, name: text})


def changed(at: int, record: StoredRecord) -> Sequence[StoredRecord]:
    return [*ACME[:at], record, *ACME[at + 1 :], *OTHERS]


def test_whole_histories_have_no_problems_however_they_are_mixed() -> None:
    assert problems([*ACME, *OTHERS]) == []
    assert problems(one for pair in zip(ACME, OTHERS, strict=True) for one in pair) == []
    assert problems([], {}) == []


def test_what_the_graph_does_not_have_yet_is_no_problem() -> None:
    behind = Verifier(PARTITIONS, {})
    earlier = [problem for record in ACME[:3] for problem in behind.take(record)]
    assert earlier == []
    digest = ACME[3].headers["ce_prev"]
    assert problems(ACME, {"acme": End(3, digest)}) == []


def test_records_that_come_again_are_counted_and_harmless() -> None:
    verifier = Verifier(PARTITIONS, ENDS)
    records = [*ACME[:4], *ACME[1:], *OTHERS, *OTHERS]
    assert [p for record in records for p in verifier.take(record)] == []
    assert list(verifier.ended(COMMANDS_END)) == []
    assert (verifier.events, verifier.repeated) == (2 * EVENTS, 3 + EVENTS)
    assert verifier.tenants == 2


@pytest.mark.parametrize("at", range(EVENTS))
def test_any_changed_part_of_any_event_is_found(at: int) -> None:
    record = ACME[at]
    for name, text in record.headers.items():
        for other in (f"{text}0", "2" if text == "1" else "1", "0", "-1", ""):
            found = codes(changed(at, with_header(record, name, other)))
            assert found or name in UNCHAINED, f"{name}: {text!r} -> {other!r}"
    for position in range(len(record.value)):
        value = bytearray(record.value)
        value[position] ^= 1
        assert codes(changed(at, msgspec.structs.replace(record, value=bytes(value))))
    for name in record.headers:
        rest = {header: text for header, text in record.headers.items() if header != name}
        without = msgspec.structs.replace(record, headers=rest)
        # Without that of the rules, they are the first ones: as these are.
        assert codes(changed(at, without)) or name in {*UNCHAINED, "ce_rules"}
    assert codes(changed(at, msgspec.structs.replace(record, key=b"other")))


@given(st.sampled_from(sorted(ACME[2].headers)), st.text() | st.integers().map(str))
@example("ce_at", "9" * 30)
@example("ce_seq", "-1")
@example("ce_actor", "\ud800")
def test_no_record_is_too_strange(name: str, text: str) -> None:
    codes(changed(2, with_header(ACME[2], name, text)))


@pytest.mark.parametrize("at", range(EVENTS))
def test_a_lost_event_is_found(at: int) -> None:
    expected = "incomplete" if at == 0 else "cut_off" if at == EVENTS - 1 else "gap"
    assert codes([*ACME[:at], *ACME[at + 1 :], *OTHERS]) == {expected}


@pytest.mark.parametrize("at", range(EVENTS - 1))
def test_events_in_another_order_are_found(at: int) -> None:
    swapped = [*ACME[:at], ACME[at + 1], ACME[at], *ACME[at + 2 :]]
    assert "disorder" in codes([*swapped, *OTHERS])


def test_an_event_that_comes_again_and_is_another_is_found() -> None:
    again = with_header(ACME[2], "ce_actor", "eve")
    [problem] = problems([*ACME, again, *OTHERS])
    assert (problem.code, problem.tenant, problem.seq) == ("divergence", "acme", 3)


@pytest.mark.parametrize("position", ["1:6", "1:99", "2:0"])
def test_a_command_that_there_never_was_is_found(position: str) -> None:
    last = with_header(ACME[-1], "ce_commandposition", position)
    assert codes(changed(EVENTS - 1, last)) == {"altered"}


def test_what_never_was_an_event_of_a_tenant_is_counted_and_harmless() -> None:
    verifier = Verifier(PARTITIONS, ENDS)
    foreign = msgspec.structs.replace(ACME[0], key=b"another program's", headers={"a": "b"})
    assert [p for record in [foreign, *ACME, *OTHERS] for p in verifier.take(record)] == []
    assert list(verifier.ended(COMMANDS_END)) == []
    assert verifier.foreign == 1
    destroyed = msgspec.structs.replace(ACME[0], headers={})
    assert codes([*ACME, *OTHERS, destroyed]) == {"unreadable"}


def test_a_lost_history_is_found() -> None:
    [problem] = problems(ACME)
    assert (problem.code, problem.tenant) == ("lost", "others")


def test_a_chain_that_was_made_anew_differs_from_the_graph() -> None:
    [problem] = problems(ACME, {"acme": End(EVENTS, "f" * 32)})
    assert (problem.code, problem.seq) == ("not_in_graph", EVENTS)
    assert problems(ACME, {"acme": End(EVENTS, None)}) == []


def test_an_event_of_another_partition_is_found() -> None:
    moved = msgspec.structs.replace(ACME[1], partition=(ACME[1].partition + 1) % PARTITIONS)
    assert "misplaced" in codes(changed(1, moved))


def test_after_a_problem_the_rest_is_checked_on() -> None:
    """One changed event is one finding, or two: at itself, and at its successor."""
    changes = {at: with_header(ACME[at], "ce_actor", "eve") for at in (1, 4)}
    records = [changes.get(at, record) for at, record in enumerate(ACME)]
    assert [p.seq for p in problems([*records, *OTHERS])] == [3, 6]
    far = with_header(ACME[2], "ce_seq", "9" * 18)
    found = problems([*changed(2, far)])
    assert {p.code for p in found} >= {"gap", "disorder"}
    assert len(found) <= 5


def test_one_tenant_alone() -> None:
    broken = [*ACME[:2], *ACME[3:], *OTHERS]
    assert problems(broken, tenant="others") == []
    assert [p.code for p in problems(broken, tenant="acme")] == ["gap"]
    foreign = msgspec.structs.replace(OTHERS[0], headers={})
    assert problems([*ACME, foreign], tenant="acme") == []


def test_a_finding_says_where() -> None:
    [problem] = problems([*ACME[:2], *ACME[3:], *OTHERS])
    assert problem == Problem(
        "gap", "events 3 to 3 are missing before it", "acme", 4, f"events/{ACME[3].partition}/3"
    )
