"""Artifacts: what the holder of a task keeps, under which names, and what stays as it is."""

import hashlib

import pytest
from msgspec import ValidationError
from msgspec.structs import replace

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.errors import PlatformError, Rejected
from agent_orchestration.core.messages import canonical
from agent_orchestration.core.types import BlobReference
from agent_orchestration.domain.artifacts.events import ArtifactAdded
from agent_orchestration.domain.artifacts.model import Artifact, artifact_id
from tests.unit.domain import START, Domain
from tests.unit.examples import agent, artifact, claim, complete, fail, task


def at_work() -> Domain:
    """Ann holds the task."""
    return Domain().given(agent(), agent("bob"), task(), claim())


def test_what_the_holder_produced_is_kept() -> None:
    domain = at_work()
    event = domain.event(artifact("plots/one.png", b"png"), ArtifactAdded)
    assert event.artifact_id == "parse:1:plots%2Fone.png"
    kept = domain.state.get(Artifact, event.artifact_id)
    assert kept == Artifact(
        id="parse:1:plots%2Fone.png",
        task_id="parse",
        agent_id="ann",
        attempt=1,
        name="plots/one.png",
        media_type="text/plain",
        size=3,
        sha256=hashlib.sha256(b"png").hexdigest(),
        created_at=START,
    )
    assert kept is not None
    assert not kept.is_live()


def test_the_same_again_is_nothing_to_do_also_after_the_attempt() -> None:
    domain = at_work().given(artifact())
    assert domain.nothing(artifact()) == {"artifact_id": "parse:1:notes.txt"}
    domain.given(complete())
    domain.nothing(artifact())


def test_other_content_needs_another_name() -> None:
    domain = at_work().given(artifact())
    for other in (artifact(content=b"other"), artifact(media_type="text/csv")):
        error = domain.refused(other)
        assert (error.code, error.details["field"]) == ("already_exists", "name")
    domain.event(artifact("notes.2.txt", b"other"), ArtifactAdded)


def test_each_attempt_has_its_own() -> None:
    domain = at_work().given(artifact(), fail(retry_after_ms=0), claim())
    domain.event(artifact(content=b"other", attempt=2), ArtifactAdded)
    assert {one.id for one in domain.state.all(Artifact)} == {
        "parse:1:notes.txt",
        "parse:2:notes.txt",
    }


def refusal(domain: Domain, agent_id: str = "ann", attempt: int = 1) -> PlatformError:
    return domain.refused(artifact(agent_id=agent_id, attempt=attempt))


def test_only_the_holder_keeps_something() -> None:
    assert refusal(Domain()).code == "unknown_task"
    assert refusal(at_work(), agent_id="bob").code == "fenced"
    assert refusal(at_work(), attempt=2).code == "fenced"
    assert refusal(at_work().given(complete())).code == "wrong_status"


@pytest.mark.parametrize("name", ["a", "a/b.c", "..a", "a..", ".a/..b", "ä ö/%2F", "a" * 160])
def test_names_are_paths_from_nowhere(name: str) -> None:
    command = artifact(name)
    assert REGISTRY.decode_command("AddArtifact", canonical(command)) == command
    REGISTRY.tools["get_artifact"].parse({"task_id": "t", "name": name})


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a/../b"),
        *("a\\b", "C:a", "a\n", "a\x00", "..\n", "a" * 161),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        REGISTRY.decode_command("AddArtifact", canonical(artifact(name)))
    with pytest.raises(Rejected, match=r"^name: "):
        REGISTRY.tools["get_artifact"].parse({"task_id": "t", "name": name})


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(Rejected, match=r"^name: "):
        REGISTRY.tools["get_artifact"].parse({"task_id": "t", "name": "\ud800"})


@pytest.mark.parametrize(
    "media_type", ["text", "Text/plain", "text/plain\n", "text/plain; a=b", ""]
)
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(ValidationError):
        REGISTRY.decode_command("AddArtifact", canonical(artifact(media_type=media_type)))
    given = {"task_id": "t", "agent_id": "a", "attempt": 1, "name": "n", "content": ""}
    with pytest.raises(Rejected, match=r"^media_type: must be a media type"):
        REGISTRY.tools["add_artifact"].parse({**given, "media_type": media_type})


def test_no_two_names_have_the_same_id() -> None:
    names = ["a/b", "a%2Fb", "a%252Fb", "a%b"]
    ids = {artifact_id("t", 1, name) for name in names}
    assert len(ids) == len(names)
    assert not any("/" in one for one in ids)


def test_a_reference_to_something_else_is_refused() -> None:
    reference = canonical(BlobReference("0" * 64, 10)).decode()
    assert reference == '{"$blob":"' + "0" * 64 + '","bytes":10}'
    fitting = replace(artifact(), content=reference)
    assert REGISTRY.decode_command("AddArtifact", canonical(fitting)) == fitting
    for other in ("../../secret", f"{reference} ", reference.upper()):
        with pytest.raises(ValidationError):
            REGISTRY.decode_command("AddArtifact", canonical(replace(fitting, content=other)))
