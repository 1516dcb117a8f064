"""The files of a deployment as data: the compose file, the Dockerfiles, the variables."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.dev.yml"
#: Each has a Dockerfile of its own, whose last stage has the same name.
IMAGES = ("event-processor", "mcp-server")
EXAMPLE = ROOT / ".env.example"
IGNORED = ROOT / ".dockerignore"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?+])([^}]*))?\}")
_ASSIGNMENT = re.compile(r"(# )?([A-Z][A-Z0-9_]*)=(\S*)")

#: What the images of servers themselves read; the rest become settings of the server.
_OF_THE_IMAGES = {"KAFKA_HEAP_OPTS", "NEO4J_AUTH"}

Instruction = tuple[str, str]


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with these variables, others having the defaults that it gives them."""
    text = COMPOSE.read_text("utf-8")
    return yaml.safe_load(_VARIABLE.sub(lambda found: _value(found, variables), text))


def named_variables() -> set[str]:
    """The variables that the compose file takes from its environment."""
    return {found[1] for found in _VARIABLE.finditer(COMPOSE.read_text("utf-8"))}


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = found.groups(default="")
    value = variables.get(name, "")
    if kind == "+":
        return text if value else ""
    assert value or kind != "?", f"{name}: {text}"
    return value or text


def server_settings(variables: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A server's settings, as the entry point of its image makes them from the variables that begin
    with `prefix`: `___` means a hyphen, `__` an underscore, `_` a dot."""
    names = {
        name: name.removeprefix(prefix)
        for name in variables
        if name.startswith(prefix) and name not in _OF_THE_IMAGES
    }
    meant = {"___": "-", "__": "_", "_": "."}
    return {
        re.sub("_{1,3}", lambda found: meant[found[0]], rest): variables[name]
        for name, rest in names.items()
    }


def example(*, commented: bool) -> dict[str, str]:
    """The variables of `.env.example`; with `commented` also those that are not in force."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    found = [match for line in lines if (match := _ASSIGNMENT.fullmatch(line))]
    return {
        name: value for hash_, name, value in (m.groups() for m in found) if commented or not hash_
    }


def instructions(text: str) -> Iterator[Instruction]:
    """Each instruction of a Dockerfile: its name, and the rest with continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            yield name.upper(), rest.strip()


def dockerfile(image: str) -> Path:
    """The Dockerfile of an image."""
    return ROOT / "dockerfiles" / f"{image}.Dockerfile"


def stages(image: str) -> dict[str, list[Instruction]]:
    """The stages of an image's Dockerfile by name, each beginning with its FROM."""
    found: dict[str, list[Instruction]] = {}
    for name, rest in instructions(dockerfile(image).read_text("utf-8")):
        if name == "FROM":
            found[rest.rpartition(" ")[2]] = []
        found[list(found)[-1]].append((name, rest))
    return found


def lineage(image: str) -> list[Instruction]:
    """The instructions of an image's stage after those of the stages that it is made from."""
    every = stages(image)
    found: list[Instruction] = []
    stage = image
    while stage in every:
        found = [*every[stage], *found]
        stage = every[stage][0][1].split()[0]
    return found


def last(image: str, name: str) -> str:
    """What the last instruction of that name says; the empty text where there is none."""
    return next((rest for kind, rest in reversed(lineage(image)) if kind == name), "")


def environment(image: str) -> dict[str, str]:
    """The variables that an image sets."""
    found: dict[str, str] = {}
    for kind, rest in lineage(image):
        if kind == "ENV":
            found |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    return found


def words(text: str) -> list[str]:
    """A command in the form that starts no shell. Raises `ValueError` for another."""
    found: Any = json.loads(text)
    assert isinstance(found, list), text
    return [str(word) for word in cast("list[Any]", found)]


def admitted() -> set[str]:
    """The paths that `.dockerignore` lets through; it keeps out everything else."""
    lines = IGNORED.read_text("utf-8").splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}
