"""What expressions of PromQL ask for: the metrics in them, with the labels that they need.

Only the form in which ours are written is understood: `sum by (label) (…)`, with the labels before
what they group. Whether an expression is right says promtool.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<range>\[[^\]]*\])
    | (?P<number>[0-9][0-9a-z.]*)
    | (?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>])
    )""",
    re.VERBOSE,
)
GROUPING = frozenset({"by"})
#: They would need an understanding of which labels are left.
NOT_UNDERSTOOD = frozenset({"without", "on", "ignoring", "group_left", "group_right"})
WORDS = frozenset({"and", "or", "unless", "bool", "offset"})


class Token(NamedTuple):
    """A part of an expression, and of which kind it is."""

    kind: str
    text: str


class Use(NamedTuple):
    """A metric in an expression, and all labels of it that the expression mentions."""

    metric: str
    labels: frozenset[str]


def tokens(expression: str) -> list[Token]:
    """The parts of an expression. Raises `ValueError` for what is no part."""
    found: list[Token] = []
    place, text = 0, expression.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ValueError(f"not understood: {text[place:]}")
        found.append(Token(match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


def uses(expression: str) -> list[Use]:
    """Every metric of an expression. Raises `ValueError` for what is written in another form."""
    return _uses(tokens(expression), frozenset())


def grouped(expression: str) -> set[str]:
    """The labels by which an expression groups anything."""
    parts = tokens(expression)
    places = [place for place, one in enumerate(parts) if one.text in GROUPING]
    return {
        one.text
        for place in places
        for one in parts[place + 1 : _closing(parts, place + 1)]
        if one.kind == "word"
    }


def _uses(parts: Sequence[Token], wanted: frozenset[str]) -> list[Use]:
    """The metrics of a part of an expression that is grouped by the labels `wanted`."""
    found: list[Use] = []
    place = 0
    while place < len(parts):
        one, place = parts[place], place + 1
        if one.kind != "word" or one.text in WORDS:
            continue
        if one.text in NOT_UNDERSTOOD:
            raise ValueError(f"not understood: {one.text}")
        after = parts[place].text if place < len(parts) else ""
        if one.text in GROUPING:
            end = _closing(parts, place)
            labels = frozenset(one.text for one in parts[place:end] if one.kind == "word")
            place, begin = _closing(parts, end), end
            found += _uses(parts[begin:place], wanted | labels)
        elif after == "{":
            end = _closing(parts, place)
            matched = frozenset(one.text for one in parts[place:end] if one.kind == "word")
            found.append(Use(one.text, wanted | matched))
            place = end
        elif after not in {"(", "by"}:
            found.append(Use(one.text, wanted))
    return found


def _closing(parts: Sequence[Token], opening: int) -> int:
    """The place behind the bracket that closes the one at `opening`. Raises `ValueError` where
    there is none."""
    depth = 0
    for place in range(opening, len(parts)):
        depth += (parts[place].text in "({") - (parts[place].text in ")}")
        if not depth:
            break
    else:
        raise ValueError("a bracket is not closed")
    if place == opening:
        raise ValueError(f"labels in brackets must follow, not {parts[opening].text}")
    return place + 1
