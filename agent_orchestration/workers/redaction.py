"""What must not be written down, replaced wherever it stands."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

MARK = "[redacted]"


class Redaction:
    """Replaces what matches one of the `patterns`, regular expressions, and the `secrets`, as they
    are or as JSON writes them. What was redacted stays as it is when it is redacted again."""

    def __init__(self, patterns: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        forms = {form for one in secrets if one for form in (one, json.dumps(one)[1:-1])}
        # The longer first: a secret may be part of another.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = [re.compile(re.escape(form)) for form in ordered]
        self._patterns = [re.compile(one) for one in patterns]

    def text(self, text: str) -> str:
        """The text with `[redacted]` in place of each match."""
        return _replaced(text, (*self._secrets, *self._patterns))

    def identifier(self, text: str) -> str:
        """The same for an id or a name, of secrets only: patterns would make different ones
        equal."""
        return _replaced(text, self._secrets)

    def value(self, value: Any) -> Any:
        """JSON data with every text redacted; names of members stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            members = cast("Mapping[str, Any]", value)
            return {name: self.value(member) for name, member in members.items()}
        if isinstance(value, Sequence):
            return [self.value(one) for one in cast("Sequence[Any]", value)]
        return value


def _replaced(text: str, patterns: Iterable[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = MARK.join(pattern.sub(MARK, part) for part in text.split(MARK))
    return text
