"""Whether a caller's Cypher only reads: every word must be where, and what, is allowed.

A word may begin a clause, join two operands, or be an operand. Each of the first two is a short
list; so a clause nobody thought of is refused because it is not on it. Names of properties,
labels, relationship types and map keys are free.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from agent_orchestration.backends.graph import cypher_words as words
from agent_orchestration.backends.graph.cypher_lexer import (
    READ_ONLY_REMEDY,
    Token,
    read_tokens,
    refuse,
)

_PAIRED = {")": "(", "]": "[", "}": "{"}


class Place(Enum):
    """What may come next."""

    CLAUSE = "a clause"
    OPERAND = "an operand"
    JOINT = "what follows an operand"
    LABEL = "a label"
    KEY = "the key of a map"


class Bracket(NamedTuple):
    """An open bracket: its sign, and what it holds."""

    sign: str
    holds: str


class _Check:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.next = 0
        self.place = Place.CLAUSE
        self.labelled = False
        self.open: list[Bracket] = []
        self.clauses = 0
        self.unions = 0

    def run(self) -> None:
        by_kind: dict[str, Callable[[Token], None]] = {
            "word": self._word,
            "quoted": self._quoted,
            "sign": self._sign,
        }
        while self.next < len(self.tokens):
            token = self.tokens[self.next]
            self.next += 1
            labelled, self.labelled = self.labelled, False
            if token.kind == "sign" and token.text in {"|", "&"}:
                self._alternative(token, labelled)
            else:
                by_kind.get(token.kind, self._value)(token)
        end = self.tokens[-1].at if self.tokens else 1
        if self.open or self.place is not Place.JOINT:
            refuse("the statement is not complete", end)

    def _peek(self, *texts: str, ahead: int = 0) -> bool:
        index = self.next + ahead
        if index >= len(self.tokens) or self.tokens[index].kind not in {"word", "sign"}:
            return False
        return self.tokens[index].text in texts

    def _expect(self, text: str) -> None:
        if not self._peek(text):
            refuse(f"{text} is missing after the word", self.tokens[self.next - 1].at)
        self.next += 1

    def _word(self, token: Token) -> None:
        if self.place is Place.CLAUSE:
            self._clause(token)
        elif self.place is Place.JOINT:
            self._joint(token)
        elif self.place is Place.LABEL and not self._peek("(", "."):
            self.place, self.labelled = Place.JOINT, True
        elif self.place is Place.KEY and self._peek(":"):
            self.next += 1
            self.place = Place.OPERAND
        else:
            self._operand(token)

    def _clause(self, token: Token) -> None:
        if token.text not in words.CLAUSES:
            refuse(f"{words.told(token.text)} does not begin a clause that reads", token.at)
        self.clauses += 1
        if self.clauses > words.MAX_CLAUSES:
            refuse(f"more than {words.MAX_CLAUSES} clauses", token.at, "ask in several queries")
        if token.text == "OPTIONAL":
            self._expect("MATCH")
        if token.text == "CALL":
            self._call(token)
        else:
            self.place = Place.OPERAND

    def _call(self, token: Token) -> None:
        """A subquery, `CALL {` or `CALL (a, b) {`; procedures have a name here."""
        if self._peek("("):
            self.next += 1
            while self.next < len(self.tokens) and not self._peek(")"):
                if self.tokens[self.next].kind != "word" and not self._peek(",", "*"):
                    refuse("something other than variables", self.tokens[self.next].at)
                self.next += 1
            self._expect(")")
        if not self._peek("{"):
            refuse("a procedure call", token.at, "only subqueries may be called")
        self.next += 1
        self._push(token, Bracket("{", "subquery"), Place.CLAUSE)

    def _joint(self, token: Token) -> None:
        text = token.text
        if text in words.CLAUSES:
            self._clause(token)
        elif text in words.JOINING:
            self.place = Place.OPERAND
        elif text in words.PAIRS:
            self._expect(words.PAIRS[text])
            self.place = Place.OPERAND
        elif text == "IS":
            if self._peek("NOT"):
                self.next += 1
            self._expect("NULL")
        elif text == "UNION":
            self._union(token)
        elif text not in words.ENDING:
            refuse(f"{words.told(token.text)} is not allowed", token.at)

    def _union(self, token: Token) -> None:
        self.unions += 1
        if self.unions > words.MAX_UNIONS:
            refuse(f"more than {words.MAX_UNIONS} UNIONs", token.at, "ask in several queries")
        if self._peek("ALL", "DISTINCT"):
            self.next += 1
        self.place = Place.CLAUSE

    def _operand(self, token: Token) -> None:
        text = token.text
        if text in {"NOT", "DISTINCT", "CASE"} or (text == "WHEN" and self._after("CASE")):
            self.place = Place.OPERAND
        elif text in words.SUBQUERIES and self._peek("{"):
            self.next += 1
            self._push(token, Bracket("{", "pattern"), Place.CLAUSE)
        elif text in words.RESERVED:
            refuse(f"{words.told(token.text)} is not allowed", token.at)
        else:
            self._name(token)

    def _after(self, text: str) -> bool:
        before = self.tokens[self.next - 2]
        return before.kind == "word" and before.text == text

    def _quoted(self, token: Token) -> None:
        if self.place is Place.LABEL:
            self.place, self.labelled = Place.JOINT, True
        elif self.place is Place.KEY and self._peek(":"):
            self.next += 1
            self.place = Place.OPERAND
        elif self.place in {Place.OPERAND, Place.KEY}:
            self._name(token)
        else:
            refuse("a quoted name", token.at)

    def _name(self, token: Token) -> None:
        """A variable with its properties, or a function with its namespace."""
        names = [token]
        while self._peek(".") and self.next + 1 < len(self.tokens):
            name = self.tokens[self.next + 1]
            if name.kind not in {"word", "quoted"}:
                break
            names.append(name)
            self.next += 2
        called = self._peek("(")
        function = ".".join(name.text for name in names).lower()
        if called and (function not in words.FUNCTIONS or any(n.kind == "quoted" for n in names)):
            refuse("a function that is not allowed", token.at, "leave it out")
        self.place = Place.OPERAND if called else Place.JOINT

    def _value(self, token: Token) -> None:
        """A string, a number or a parameter."""
        if self.place is not Place.OPERAND and not (
            self.place is Place.KEY and token.kind == "number"
        ):
            refuse(f"a {token.kind}", token.at)
        self.place = Place.JOINT

    def _sign(self, token: Token) -> None:
        text = token.text
        if text in {"(", "[", "{"}:
            self._opening(token)
        elif text in _PAIRED:
            self._closing(token)
        elif self.place is Place.CLAUSE or text == ";":
            refuse("a sign", token.at)
        elif self.place is Place.LABEL:
            self._label_sign(token)
        elif text == ",":
            self.place = Place.KEY if self._inside("map") else Place.OPERAND
        elif text == ".":
            self._property(token)
        elif self.place is Place.KEY:
            refuse("a sign", token.at)
        elif text == ":":
            self.place = Place.LABEL
        elif text == "*" and self.place is Place.OPERAND and not self._inside("list"):
            # All variables, or all rows; in a list it is the length of a path.
            self.place = Place.JOINT
        else:
            self.place = Place.OPERAND

    def _label_sign(self, token: Token) -> None:
        if token.text not in {"!", "%"}:
            refuse("a sign in a label", token.at)
        if token.text == "%":
            self.place, self.labelled = Place.JOINT, True

    def _inside(self, holds: str) -> bool:
        return bool(self.open) and self.open[-1].holds == holds

    def _alternative(self, token: Token, labelled: bool) -> None:
        """`|` and `&` join labels; `|` also divides a comprehension from its result."""
        if self.place is not Place.JOINT or (token.text == "&" and not labelled):
            refuse("a sign", token.at)
        self.place = (
            Place.LABEL if labelled and not self._peek(".", "(", ahead=1) else Place.OPERAND
        )

    def _property(self, token: Token) -> None:
        """`.name` of a value, or `.name` and `.*` as the entries of a map."""
        if self.next >= len(self.tokens) or self.place not in {Place.JOINT, Place.KEY}:
            refuse("a sign", token.at)
        star = self.place is Place.KEY and self._peek("*")
        if not star and self.tokens[self.next].kind not in {"word", "quoted"}:
            refuse("a sign", token.at)
        self.next += 1
        if self._peek("("):
            refuse("a function that is not allowed", token.at, "leave it out")
        self.place = Place.JOINT

    def _opening(self, token: Token) -> None:
        text = token.text
        if text == "{" and self.place in {Place.OPERAND, Place.JOINT}:
            self._push(token, Bracket(text, "map"), Place.KEY)
        elif text == "[" and self.place in {Place.OPERAND, Place.JOINT}:
            self._push(token, Bracket(text, "list"), Place.OPERAND)
        elif text == "(" and self.place is Place.OPERAND:
            self._push(token, Bracket(text, "group"), Place.OPERAND)
        elif text == "(" and self.place is Place.LABEL:
            self._push(token, Bracket(text, "labels"), Place.LABEL)
        elif text == "(" and self.place is Place.CLAUSE and self._in_pattern():
            self._push(token, Bracket(text, "group"), Place.OPERAND)
        else:
            refuse("a bracket", token.at)

    def _in_pattern(self) -> bool:
        """At the beginning of `EXISTS {` and the like, which may hold a pattern alone."""
        return self._inside("pattern") and self.tokens[self.next - 2].text == "{"

    def _closing(self, token: Token) -> None:
        if not self.open or self.open[-1].sign != _PAIRED[token.text]:
            refuse("a bracket", token.at)
        if self.place in {Place.CLAUSE, Place.LABEL}:
            refuse("a bracket", token.at)
        holds = self.open.pop().holds
        self.place = Place.CLAUSE if holds == "subquery" else Place.JOINT
        self.labelled = holds == "labels"

    def _push(self, token: Token, bracket: Bracket, place: Place) -> None:
        if len(self.open) == words.MAX_DEPTH:
            refuse(f"more than {words.MAX_DEPTH} brackets in each other", token.at, "nest less")
        self.open.append(bracket)
        self.place = place


def checked(query: str) -> str:
    """The statement as it may run: without comments and its final semicolon.

    Raises `Rejected` (`cypher_not_allowed`, `cypher_too_long`) with position and remedy.
    """
    tokens, statement = read_tokens(query)
    if not tokens:
        refuse("nothing to run", 1, READ_ONLY_REMEDY)
    _Check(tokens).run()
    return statement
