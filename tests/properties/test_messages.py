"""Messages: every one survives its codec, and what may not be said is told the same everywhere."""

from typing import Any, cast

import msgspec
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import Shape, entity_id, node_id, shape_of, to_datetime
from agent_orchestration.core.envelope import (
    CommandEnvelope,
    EventEnvelope,
    StoredRecord,
    command_body,
    event_body,
)
from agent_orchestration.core.errors import Corrupt, Rejected
from agent_orchestration.core.folding import REPLY_BYTES, event_row
from agent_orchestration.core.messages import canonical
from agent_orchestration.core.storable import PLAIN_NUMBER, check_row, is_plain
from agent_orchestration.core.types import (
    Id,
    LabelMap,
    Line,
    Text,
    Title,
    json_text,
    json_value,
)
from agent_orchestration.domain import templates
from agent_orchestration.pipeline.deciding import Outcome
from tests.properties.commands import Move
from tests.properties.histories import HOSTILE, History, moves
from tests.properties.messages import IDS, JSON, NAMES, TEXT, values_of
from tests.unit.domain import START


@pytest.mark.parametrize("name", sorted(REGISTRY.events))
def test_every_event_survives_its_codec(name: str) -> None:
    cls = REGISTRY.events[name]

    @settings(max_examples=25)
    @given(values_of(cls))
    def survives(event: Any) -> None:
        body = event_body(event)
        back = REGISTRY.decode_event(name, cls.VERSION, body)
        assert back == event
        assert event_body(back) == body
        assert canonical(back.reply()) == canonical(event.reply())

    survives()


@pytest.mark.parametrize("name", sorted(REGISTRY.commands))
def test_every_command_survives_its_codec(name: str) -> None:
    @settings(max_examples=25)
    @given(values_of(REGISTRY.commands[name]))
    def survives(command: Any) -> None:
        body = command_body(command)
        back = REGISTRY.decode_command(name, body)
        assert back == command
        assert command_body(back) == body
        assert back.needs() == command.needs()

    survives()


@settings(max_examples=100)
@given(st.sampled_from(sorted(REGISTRY.events)), st.integers(-1, 3), st.binary(max_size=40))
def test_whatever_bytes_are_stored_they_are_an_event_or_corrupt(
    name: str, version: int, body: bytes
) -> None:
    try:
        event = REGISTRY.decode_event(name, version, body)
    except Corrupt:
        return
    assert type(event) is REGISTRY.events[name]


@settings(max_examples=40)
@given(moves(HOSTILE, 30), st.sampled_from(["acme", "default"]))
def test_histories_survive_the_log(made: list[Move], tenant: str) -> None:
    history = History(tenant).play(made)
    for envelope in history.envelopes:
        record = envelope.to_record()
        stored = StoredRecord("events", 0, 0, START, record.key, record.value, record.headers)
        back = EventEnvelope.from_record(stored)
        assert back == envelope
        assert back.digest == envelope.digest
    for outcome in history.outcomes:
        record = outcome.asked.envelope.to_record()
        stored = StoredRecord("commands", 0, 0, START, record.key, record.value, record.headers)
        assert CommandEnvelope.from_record(stored) == outcome.asked.envelope


@settings(max_examples=40)
@given(moves(HOSTILE, 40))
def test_an_event_changes_the_entity_that_it_is_about(made: list[Move]) -> None:
    for folded in History().play(made).folded:
        about = folded.event.about()
        assert about is None or about in {entity_id for _, entity_id in folded.touched}


@settings(max_examples=60)
@given(moves(HOSTILE, 40))
def test_no_accepted_command_leads_to_what_a_graph_could_not_store(made: list[Move]) -> None:
    """Every row is looked at here; of a short event no rows are made to be checked."""

    def check(outcome: Outcome) -> None:
        error = outcome.result.error
        assert error is None or error["code"] != "not_storable"
        if outcome.folded is not None:
            for (cls, _), touched in outcome.folded.touched.items():
                shape = shape_of(cls)
                check_row(shape.row("acme", touched.entity), shape.indexed)
            check_row(event_row(outcome.folded), frozenset({"receipt_key"}), REPLY_BYTES)

    History().play(made, each=check)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda some: st.lists(some, max_size=5)))
def test_json_without_long_numbers_holds_none_that_a_graph_could_not_store(value: Any) -> None:
    def numbers(part: Any) -> list[int]:
        if isinstance(part, list):
            return [number for one in cast("list[Any]", part) for number in numbers(one)]
        return [part] if isinstance(part, int) else []

    if is_plain(msgspec.json.encode(value)):
        assert all(-PLAIN_NUMBER < number < PLAIN_NUMBER for number in numbers(value))


@pytest.mark.parametrize("number", [PLAIN_NUMBER - 1, 1 - PLAIN_NUMBER, 0, START])
def test_shorter_numbers_are_times_that_a_graph_can_store(number: int) -> None:
    assert is_plain(msgspec.json.encode([number, "a", {"b": number}]))
    check_row({"number": number, "time": to_datetime(number)})


@settings(max_examples=60)
@given(moves(HOSTILE, 40), IDS)
def test_every_entity_survives_its_row_and_relationships(made: list[Move], tenant: str) -> None:
    history = History(tenant).play(made)
    for cls in REGISTRY.entities.values():
        shape: Shape = shape_of(cls)
        for entity in history.state.all(cls):
            row = shape.row(tenant, entity)
            check_row(row, shape.indexed)
            links = {
                relationship.type: list(
                    shape.links(tenant, i, getattr(entity, relationship.field)).items()
                )
                for i, relationship in enumerate(cls.RELATIONSHIPS)
            }
            assert shape.load(tenant, row, links) == entity


@given(IDS, IDS)
def test_a_node_belongs_to_one_entity_of_one_tenant(tenant: str, entity: str) -> None:
    node = node_id(tenant, entity)
    assert entity_id(tenant, node) == entity
    assert node_id("default", entity) == entity
    assert ("/" in node) == (tenant != "default")


# ── limits: the log's reader and the tools say the same


ANY_TEXT = TEXT | st.text(max_size=5) | st.sampled_from(["a\n", "a\x7f", "", "ä", "a\ud800", "²"])


@pytest.mark.parametrize("declared", [Id, Line, Title, Text], ids=["id", "line", "title", "text"])
def test_the_log_takes_what_the_tools_take(declared: Any) -> None:
    adapter = pydantic.TypeAdapter[Any](declared)

    @settings(max_examples=200)
    @given(ANY_TEXT | IDS | st.integers(120, 600).map(lambda n: "x" * n))
    @example("x" * 10_000)
    @example("x" * 10_001)
    def agree(text: str) -> None:
        assert is_valid(adapter, text) == is_decoded(declared, text)

    agree()


@settings(max_examples=200)
@given(ANY_TEXT | NAMES | IDS | st.integers(95, 105).map(lambda n: "x" * n))
def test_the_log_takes_the_names_of_templates_that_the_tools_take(name: str) -> None:
    adapter = pydantic.TypeAdapter[Any](templates.tools.TemplateName)
    assert is_valid(adapter, name) == is_decoded(templates.commands.TemplateName, name)


@settings(max_examples=200)
@given(st.dictionaries(ANY_TEXT | st.just("a=b"), ANY_TEXT, max_size=2))
@example({"k" * 64: "v" * 256})
@example({"k" * 65: ""})
@example({"k": "v" * 257})
@example({str(n): "" for n in range(50)})
@example({str(n): "" for n in range(51)})
def test_labels_that_a_tool_takes_can_be_read_from_the_log(labels: dict[str, str]) -> None:
    if is_valid(pydantic.TypeAdapter[Any](LabelMap), labels):
        assert is_decoded(LabelMap, labels)


def is_valid(adapter: pydantic.TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


def is_decoded(declared: Any, value: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=declared)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return True


@settings(max_examples=200)
@given(JSON)
@example("\x00\u2028\ud7ff\U0010ffff")
@example({"n": [2**63 - 1, -(2**63)]})
def test_json_that_is_taken_comes_back_as_it_was(value: Any) -> None:
    text = json_text(value, "payload")
    assert (text is None) == (value is None)
    assert json_value(text) == value
    check_row({"payload": text})


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, [2**64], "\ud800", {"\ud800": 1}, {"$blob": "x"}, float("nan")]
)
def test_json_that_no_graph_can_store_is_refused(value: Any) -> None:
    with pytest.raises(Rejected, match="payload") as caught:
        json_text(value, "payload")
    assert caught.value.details["field"] == "payload"
