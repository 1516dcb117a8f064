"""The entity `Artifact`."""

import re
from typing import Annotated

from msgspec import Meta
from pydantic import AfterValidator, Field

from agent_orchestration.core.entities import Entity, Relationship, Time

# A path below somewhere: no part of it is empty, `.` or `..`. A colon would be a drive.
NAME_PATTERN = r"^(?!(.*/)?\.{0,2}(/|$))[^\x00-\x1f\x7f\\:]*(?!\n)$"
MEDIA_PATTERN = r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}(?!\n)$"
NAME_LENGTH = 160
"""Characters. With a task's id it makes an id that an index can hold."""


def _check_name(value: str) -> str:
    if re.search(NAME_PATTERN, value) is None:
        raise ValueError(
            "must be a name, or a path from nowhere such as `plots/one.png`: without `..`, empty"
            " parts, backslashes, colons and control characters"
        )
    return value


def _check_media_type(value: str) -> str:
    if re.search(MEDIA_PATTERN, value) is None:
        raise ValueError("must be a media type in lower case, such as `text/csv`")
    return value


ArtifactName = Annotated[
    str,
    Meta(max_length=NAME_LENGTH, pattern=NAME_PATTERN),
    Field(max_length=NAME_LENGTH, description="a name, or a path such as `plots/one.png`"),
    AfterValidator(_check_name),
]
MediaType = Annotated[str, Meta(pattern=MEDIA_PATTERN), AfterValidator(_check_media_type)]


class Artifact(Entity, kw_only=True):
    """Something that an attempt at a task produced: bytes under a name, kept in the blob store
    under their `sha256`; `size` in bytes. It never changes: what a later attempt produces under the
    same name is another artifact."""

    LABEL = "Artifact"
    RELATIONSHIPS = (
        Relationship("PRODUCED", "task_id", "Task", reverse=True),
        Relationship("PRODUCED_BY", "agent_id", "Agent"),
    )
    LIVE = "false"

    # Every artifact has a task and an agent; a node by itself, without its relationships, has not.
    task_id: str | None = None
    agent_id: str | None = None
    attempt: int
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: Time = 0

    def is_live(self) -> bool:
        """No artifact ever changes: none stays in memory."""
        return False


def artifact_id(task_id: str, attempt: int, name: str) -> str:
    """The id of an attempt's artifact. No id has a slash, and no two names have the same id."""
    return f"{task_id}:{attempt}:{name.replace('%', '%25').replace('/', '%2F')}"
