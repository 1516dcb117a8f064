"""The tokens of a caller's Cypher, read more strictly than any engine does.

What two engines might read differently is refused: escapes that stand for ASCII, lone carriage
returns, comments in comments, doubled quotes, digits that run into letters, anything not ASCII
outside strings. The engine gets the text that the tokens make, so it cannot see others.
"""

import re
from typing import NamedTuple, NoReturn

from agent_orchestration.core.errors import Rejected

QUERY_BYTES = 8 * 1024

READ_ONLY_REMEDY = "write one statement of MATCH, WHERE, WITH, UNWIND, RETURN, ORDER BY and LIMIT"


class Token(NamedTuple):
    """`kind` is word, quoted, string, number, parameter or sign; `text` as written, words in
    upper case, quoted names without their backticks; `at` counts characters from 1."""

    kind: str
    text: str
    at: int


def refuse(problem: str, at: int, remedy: str = READ_ONLY_REMEDY) -> NoReturn:
    """Raise `Rejected`. `problem` is never the caller's text, only where it is."""
    raise Rejected(
        "cypher_not_allowed", f"{problem} at character {at}: {remedy}", field="query", position=at
    )


_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\n]|\r\n)+)
    | (?P<comment>//[^\n]*|/\*(?!/)(?:[^*/]|\*(?!/)|/(?!\*))*\*/)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:0x[0-9A-Fa-f]+|0o[0-7]+|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        (?![A-Za-z0-9_]))
    | (?P<parameter>\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?![A-Za-z0-9_])))
    | (?P<string>'(?:[^'\\]|\\(?:[\\'"bfnrt]|u[0-9A-Fa-f]{4}))*'(?!')
        |"(?:[^"\\]|\\(?:[\\'"bfnrt]|u[0-9A-Fa-f]{4}))*"(?!"))
    | (?P<quoted>`[^`\\\n]+`(?!`))
    | (?P<sign>\.\.|[()\[\]{},.:|&!+\-%^=<>;]|/(?![*/])|\*(?!/))
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\[uU](?:([0-9A-Fa-f]{4}))?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_ASCII_ONLY = frozenset({"comment", "quoted"})
#: What is wrong where no token begins, by the character there.
_PROBLEMS = {
    "'": "a string that does not end, or has an escape or a quote that is not allowed",
    '"': "a string that does not end, or has an escape or a quote that is not allowed",
    "`": "a quoted name that is not plain",
    "/": "a comment that does not end, or has another one inside",
    "*": "the end of a comment that did not begin",
    "$": "a parameter without a plain name",
    "~": "a regular expression",
    "\\": "an escape outside a string",
}
_REMEDIES = {
    "~": "use STARTS WITH, ENDS WITH or CONTAINS",
    "$": "name it with letters, digits and _",
    "'": "pass the text as a parameter",
    '"': "pass the text as a parameter",
}


def read_tokens(query: str) -> tuple[list[Token], str]:
    """The tokens, and the same statement without comments and its final semicolon.

    Raises `Rejected`: `cypher_too_long`, or `cypher_not_allowed` for what is no Cypher of ours.
    """
    _check_characters(query)
    tokens: list[Token] = []
    written: list[str] = []
    at = 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            _refuse_character(query[at], at + 1)
        kind, text = str(found.lastgroup), found.group()
        if kind in _ASCII_ONLY and not text.isascii():
            refuse("a character that is not ASCII outside a string, after the one", at + 1)
        if kind in {"space", "comment"}:
            written.append(" ")
        else:
            tokens.append(_token(kind, text, at + 1))
            written.append(text)
        at = found.end()
    if tokens and tokens[-1].text == ";" and tokens[-1].kind == "sign":
        tokens.pop()
        written.reverse()
        written.remove(";")
        written.reverse()
    return tokens, "".join(written).strip()


def _token(kind: str, text: str, at: int) -> Token:
    if kind == "word":
        return Token(kind, text.upper(), at)
    return Token(kind, text[1:-1] if kind == "quoted" else text, at)


def _check_characters(query: str) -> None:
    try:
        size = len(query.encode())
    except UnicodeEncodeError as error:
        refuse("a lone surrogate", error.start + 1, "send valid Unicode")
    if size > QUERY_BYTES:
        raise Rejected(
            "cypher_too_long",
            f"the query is {size} bytes long: at most {QUERY_BYTES} are allowed, pass values as"
            " parameters",
            field="query",
        )
    if control := _CONTROL.search(query):
        refuse("a control character", control.start() + 1, "remove it")
    for escape in _ESCAPE.finditer(query):
        # Some engines decode these before anything else: a quote or a keyword could hide in one.
        code = int(escape[1], 16) if escape[1] else 0
        if code < 0x80 or 0xD800 <= code < 0xE000:
            refuse(
                "an escape that is not four digits of a character beyond ASCII",
                escape.start() + 1,
                "write the character itself, or pass the text as a parameter",
            )


def _refuse_character(character: str, at: int) -> NoReturn:
    if not character.isascii():
        refuse("a character that is not ASCII outside a string", at, "pass it as a parameter")
    if character.isdigit():
        refuse("a number that runs into letters", at, "put a space between them")
    problem = _PROBLEMS.get(character, "a character that Cypher has no use for")
    refuse(problem, at, _REMEDIES.get(character, "remove it"))
