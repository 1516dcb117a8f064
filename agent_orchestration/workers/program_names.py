"""Capability ids from recorded programs.

A recorded program is sometimes one word (`blastall`) and sometimes a whole shell script. The id is
readable, and two different programs never share one.
"""

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

ID_LENGTH = 128
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

_SIMPLE = re.compile(r"[^\s|;&<>`$\"'(){}=]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_ENDS_COMMAND = frozenset({"|", "||", "&&", ";", "&", ">", "<", ">>"})
#: Words that prepare the ground; the program that a script is about comes after them.
_PREPARATION = frozenset(
    (
        "cat",
        "cd",
        "chmod",
        "cp",
        "def",
        "do",
        "done",
        "echo",
        "export",
        "fi",
        "for",
        "if",
        "ln",
        "ls",
        "mkdir",
        "mv",
        "printf",
        "rm",
        "set",
        "shopt",
        "sleep",
        "source",
        "then",
        "touch",
        "trap",
        "ulimit",
        "umask",
        "unset",
        "while",
    )
)


def short_digest(text: str) -> str:
    """12 hex digits that tell texts apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def as_id(text: str, length: int = ID_LENGTH) -> str:
    """The text as an id of at most `length` characters: unchanged where it already is one,
    otherwise cleaned and, so that different texts stay different, ending in a digest."""
    if ID_PATTERN.fullmatch(text) and len(text) <= length:
        return text
    return f"{_clean(text)[: length - 13]}-{short_digest(text)}"


def capability_ids(first_task: Mapping[str, str]) -> dict[str, str]:
    """Program -> capability id; `first_task` holds each program and the name of a task running it.

    Programs that would get the same id are told apart by as many parts of the task's name as it
    takes, else by a digest.
    """
    bases = {program: _base(program) for program in first_task}
    names = dict(bases)
    for parts in (1, 2, 3):
        for program in _sharing(names):
            names[program] = f"{bases[program]}.{_short_name(first_task[program], parts)}"
    while shared := _sharing(names):
        for program in shared:
            names[program] = f"{names[program][: ID_LENGTH - 13]}.{short_digest(program)}"
    return names


def _sharing(names: Mapping[str, str]) -> list[str]:
    times = Counter(names.values())
    return [program for program, name in names.items() if times[name] > 1]


def _base(program: str) -> str:
    if _SIMPLE.fullmatch(program):
        return _clean(_basename(program))[:64]
    lines = re.sub(r"\\\r?\n", " ", program).splitlines()
    for line in lines:
        if words := _command(line):
            return _clean(".".join(words))[:64]
    return "script"


def _command(line: str) -> list[str]:
    """The command word of a line and its subcommand; nothing for lines that only prepare."""
    words = _split(line)
    if not words or words[0].startswith("#") or _ASSIGNMENT.match(words[0]):
        return []
    command = _basename(words[0])
    if command in _PREPARATION or not re.search(r"[A-Za-z0-9]", command):
        return []
    for before, word in pairwise(words):
        if word in _ENDS_COMMAND:
            break
        if _WORD.fullmatch(word) and not before.startswith("--"):
            return [command, word]
    return [command]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an unbalanced quote: quotes that span lines are common in scripts
        return line.split()


def _basename(word: str) -> str:
    return re.split(r"[/\\]", word.rstrip("/\\"))[-1]


def _short_name(task_name: str, parts: int) -> str:
    """`A.B.INDEX_CRAM_25` -> `INDEX_CRAM`: the last parts, without the number at the end."""
    last = ".".join(re.split(r"[.:/]", task_name.rstrip(".:/"))[-parts:])
    return _clean(re.sub(r"_(ID)?\d+$", "", last))[-60:].lstrip("-._:")


def _clean(text: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9._:-]+", "-", text).strip("-._:")
    return cleaned or "x"
