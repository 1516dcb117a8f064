"""The workflow that every tenant runs: the 1000 Genomes workflow, as recorded in
`1000genome-chameleon-10ch-100k-001` of WfCommons, of as many chromosomes as are asked for.

Ten of them are the whole: 260 tasks with 380 dependencies.
"""

from typing import NamedTuple

PROGRAMS = ("individuals", "individuals_merge", "sifting", "mutation_overlap", "frequency")
PARTS = 10
POPULATIONS = 7


class Step(NamedTuple):
    """A task to create: its name, the program that it stands for, and what it waits for."""

    name: str
    program: str
    after: tuple[str, ...] = ()


def genome(chromosomes: int) -> list[Step]:
    """The steps, each after those that it waits for."""
    return [step for number in range(1, chromosomes + 1) for step in _chromosome(f"c{number}")]


def _chromosome(name: str) -> list[Step]:
    parts = [Step(f"{name}.individuals-{n}", "individuals") for n in range(PARTS)]
    merge = Step(f"{name}.merge", "individuals_merge", tuple(part.name for part in parts))
    sifting = Step(f"{name}.sifting", "sifting")
    both = (merge.name, sifting.name)
    last = [
        Step(f"{name}.{program}-{n}", program, both)
        for n in range(POPULATIONS)
        for program in ("mutation_overlap", "frequency")
    ]
    return [*parts, merge, sifting, *last]
