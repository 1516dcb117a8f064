"""The ready tasks by what they require: what a search finds, and how little it looks at."""

import random
from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.domain.tasks.model import Requirement
from agent_orchestration.domain.tasks.ready import LAST, MOST_GROUPS, Names, Order

Task = tuple[tuple[Requirement, ...], Order]

NAMES = st.sets(st.sampled_from(["@crew", "a", "b", "c"]), max_size=3)
LEVELS = st.sampled_from([*range(0, 1001, 125), *range(8), *range(500, 540)])


@st.composite
def tasks(draw: st.DrawFn) -> list[Task]:
    """Ready tasks; many of them require the same names."""
    found: list[Task] = []
    sets = draw(st.lists(NAMES, min_size=1, max_size=4))
    for number in range(draw(st.integers(0, 80))):
        names = sorted(draw(st.sampled_from(sets)))
        requires = tuple(Requirement(name, draw(LEVELS)) for name in names)
        found.append((requires, (draw(st.integers(1, 3)), number // 3, f"t{number}")))
    return found


ABILITIES = st.dictionaries(st.sampled_from(["@crew", "a", "b", "c", "d"]), LEVELS)


def first(ready: Iterable[Task], able: Mapping[str, int]) -> Order:
    """The task to claim next, found by looking at all of them."""
    meant = [
        order
        for requires, order in ready
        if all(able.get(need.capability, -1) >= need.level for need in requires)
    ]
    return min(meant, default=LAST)


@given(tasks(), st.randoms(use_true_random=False), st.lists(ABILITIES, min_size=1, max_size=6))
def test_a_search_finds_what_looking_at_everything_would(
    known: list[Task], chance: random.Random, able: list[dict[str, int]]
) -> None:
    names, ready = Names(), set[Task]()
    for one in known * 2:  # some come back after they were gone
        move = ready.remove if one in ready else ready.add
        (names.drop if one in ready else names.put)(*one)
        move(one)
        if ready and chance.random() < 0.3:
            gone = chance.choice(sorted(ready))
            names.drop(*gone)
            ready.remove(gone)
        for some in able:
            assert names.best(some)[0] == first(ready, some)
    assert {(r, o) for r, group in names.all_groups() for o in group.orders()} == ready


@given(tasks(), st.randoms(use_true_random=False), ABILITIES)
def test_the_order_of_coming_does_not_matter(
    known: list[Task], chance: random.Random, able: dict[str, int]
) -> None:
    shuffled = [*known]
    chance.shuffle(shuffled)
    one, other = Names(), Names()
    for task in known:
        one.put(*task)
    for task in shuffled:
        other.put(*task)
    assert one.best(able)[0] == other.best(able)[0]


@given(tasks())
def test_nothing_is_left_of_what_has_gone(known: list[Task]) -> None:
    names = Names()
    for task in known:
        names.put(*task)
    for task in known:
        names.drop(*task)
    assert (names.more, names.cell.first, names.cell.groups, names.cell.halves) == (
        {},
        LAST,
        {},
        None,
    )


def looks(known: Iterable[Task], able: Mapping[str, int]) -> int:
    """How much a search looks at; it finds the right task."""
    names, ready = Names(), [*known]
    for task in ready:
        names.put(*task)
    found, seen = names.best(able)
    assert found == first(ready, able)
    return seen


def test_a_thousand_levels_of_one_capability_are_not_looked_at_one_by_one() -> None:
    for ascending in (True, False):
        # The more is required the earlier the task, or the later.
        known = [
            ((Requirement("a", level),), (3, level if ascending else -level, str(level)))
            for level in range(1001)
        ]
        for level in (0, 1, 499, 500, 501, 999, 1000):
            assert looks(known, {"a": level}) <= 2 * MOST_GROUPS + 10


def test_levels_of_two_capabilities_are_searched_in_parts() -> None:
    chance = random.Random(1)
    known = [
        (
            (Requirement("a", level), Requirement("b", chance.randrange(1001))),
            (3, chance.randrange(1000), str(level)),
        )
        for level in range(1001)
    ]
    for able in (
        {"a": 500, "b": 500},
        {"a": 1000, "b": 3},
        {"a": 3, "b": 1000},
        {"a": 700, "b": 9},
    ):
        assert looks(known, able) <= 250


def test_names_that_the_agent_lacks_are_not_looked_at() -> None:
    known = [
        ((Requirement("a", 0), Requirement(f"b{number}", 0)), (3, number, str(number)))
        for number in range(1000)
    ]
    assert looks(known, {"a": 500, "b7": 0}) <= 5
    assert looks(known, {"a": 500}) <= 3


def test_levels_that_nobody_may_require_are_found_all_the_same() -> None:
    known = [((Requirement("a", 2000 + n),), (3, n, str(n))) for n in range(40)]
    assert looks(known, {"a": 2010}) <= 42
    assert looks(known, {"a": 1000}) <= 42
