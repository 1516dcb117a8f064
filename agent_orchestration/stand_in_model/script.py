"""Scripts: what the stand-in answers to what, and when it fails, in YAML or JSON.

models: [gpt-4o]          # others are unknown; without this line none is
rules:                    # the first that matches decides; without one the request does
  - {when: {call: 1}, fault: rate_limit, retry_after: 2}
  - {when: {text: weather, model: gpt-4o}, answer: {tool_calls: [{name: forecast}]}}
  - {answer: {text: Done.}}
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from agent_orchestration.core.errors import Rejected

MAX_BYTES = 10 * 1024 * 1024
MAX_MEGABYTES = 1024

Fault = Literal[
    "key_refused",  # 401
    "unknown_model",  # 404
    "rate_limit",  # 429 with Retry-After
    "quota",  # 429 insufficient_quota
    "outage",  # 500
    "hang",  # nothing after the first half of an answer
    "cut",  # the connection ends within the answer
    "malformed",  # no JSON
    "not_utf8",
    "huge",  # an answer of so many `megabytes`
    "wrong_tool",  # a call of a tool that nobody offered
    "wrong_arguments",  # a call whose arguments are no JSON
]


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request must be like: `text` is in its last message, `model` is the one asked for,
    and it is the `call`-th since the start or the last reset, from 1."""

    text: str | None = None
    model: str | None = None
    call: int | None = None


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a tool. `arguments` that are text are sent as they are, anything else as JSON."""

    name: str
    arguments: Any = {}


class Scripted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer: text, or a value sent as JSON, with or without calls of tools."""

    text: str = ""
    json: Any = msgspec.UNSET
    tool_calls: tuple[ScriptedCall, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for two texts."""
        if self.text and self.json is not msgspec.UNSET:
            raise ValueError("has text and json; leave one out")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer or a fault, and when. `retry_after` in seconds, for rate_limit; `megabytes`, for
    huge."""

    when: When = When()
    answer: Scripted | None = None
    fault: Fault | None = None
    retry_after: float = 1.0
    megabytes: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` unless it says one thing."""
        if (self.answer is None) == (self.fault is None):
            raise ValueError("needs either answer or fault")
        if not 0 < self.megabytes <= MAX_MEGABYTES:
            raise ValueError(f"megabytes: not within 1 to {MAX_MEGABYTES}")

    def matches(self, text: str, model: str, call: int) -> bool:
        """Whether it is for that request."""
        when = self.when
        return (
            (when.text is None or when.text in text)
            and when.model in {None, model}
            and when.call in {None, call}
        )


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules in their order, and the only `models` there are (none: any)."""

    rules: tuple[Rule, ...] = ()
    models: tuple[str, ...] = ()

    def rule(self, text: str, model: str, call: int) -> Rule | None:
        """The first rule that matches."""
        return next((rule for rule in self.rules if rule.matches(text, model, call)), None)


def load_script(file: Path) -> Script:
    """The script in a file. Raises `Rejected`, which names the place in it."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _invalid(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _invalid(f"{file}: is larger than {MAX_BYTES} bytes; make it smaller")
    try:
        return msgspec.convert(yaml.safe_load(content) or {}, type=Script)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(f"{file}: is not YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise _invalid(f"{file}: {error}; see docs/models.md for what a script can say") from None


def _invalid(reason: str) -> Rejected:
    return Rejected("invalid_script", reason, field="script")
