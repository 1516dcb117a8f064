"""Where things are, how large they are, and what only one place may do."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import (
    BENCH,
    PACKAGE,
    ROOT,
    called_name,
    calls,
    functions,
    helper_modules,
    kept_files,
    modules,
    short,
    tree,
)

LONGEST_FILE = 300
LONGEST_FUNCTION = 50

DOMAIN = PACKAGE / "domain"
REQUIRED = {
    "__init__.py",  # its registration
    "model.py",  # entities
    "commands.py",  # intentions
    "events.py",  # facts
    "decide.py",  # one function per command
    "evolve.py",  # one function per event
    "queries.cypher",  # named questions
    "tools.py",  # the tools
}
OPTIONAL = {
    "policy.py",  # event -> next command
    "index.py",  # what decisions look entities up by
    "ready.py",  # ready tasks in the order of claiming
    "guards.py",  # checks that several decisions share
    "views.py",  # what the tools answer
    "arguments.py",  # what the tools take
    "selection.py",  # choices that several decisions make
    "planning.py",  # a plan's shape, computed for its decision
    "ending.py",  # what ends with a task
    "explain.py",  # answers put together from several questions
    "worker_tools.py",  # the tools of those who do the work
    "coordination_tools.py",  # the tools that begin what a coordinator splits up
}
DOMAIN_MODULES = sorted(p for p in DOMAIN.iterdir() if p.is_dir() and p.name != "__pycache__")
WITHIN_LIMITS = [*modules(), *modules(BENCH), *helper_modules()]
VAGUE = {"common", "helper", "helpers", "misc", "util", "utils"}


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("folder", DOMAIN_MODULES, ids=lambda p: p.name)
def test_every_domain_module_has_the_same_files(folder: Path) -> None:
    names = {p.name for p in folder.iterdir() if p.name != "__pycache__"}
    # `decide` may become a package when it grows.
    names = {"decide.py" if name == "decide" else name for name in names}
    assert names >= REQUIRED
    assert names <= REQUIRED | OPTIONAL


def test_files_are_short() -> None:
    long = {short(p): lines(p) for p in WITHIN_LIMITS if lines(p) > LONGEST_FILE}
    assert long == {}


def test_functions_are_short() -> None:
    long = {
        f"{short(path)}:{function.name}": size
        for path in WITHIN_LIMITS
        for function in functions(path)
        if (size := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}


def test_names_say_what_is_inside() -> None:
    vague = [short(p) for p in modules(ROOT) if {p.stem, p.parent.name} & VAGUE]
    assert vague == []


def test_only_the_configuration_reads_the_environment() -> None:
    readers = {
        short(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    importers = {
        short(path)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        if {alias.name for alias in node.names} & {"environ", "environb", "getenv"}
    }
    assert readers | importers <= {"agent_orchestration/config.py"}


def test_only_the_command_line_prints() -> None:
    printing = {
        short(path)
        for path in modules()
        if PACKAGE / "cli" not in path.parents
        for call in calls(path)
        if isinstance(call.func, ast.Name) and called_name(call) == "print"
    }
    assert printing == set()


def test_no_file_names_a_place_on_one_machine() -> None:
    # The dot may stand before the slash of `./work/`, which is a relative path.
    place = re.compile(r"(?<![\w.~*-])/(?:work|root|farm|home/\w+|Users/\w+)/\w", re.ASCII)
    found: list[str] = []
    for path in kept_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{short(path)}: {m.group()}" for m in place.finditer(text)]
    assert found == []
