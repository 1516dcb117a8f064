"""Ready tasks in the order of claiming, found by what somebody is able to do.

Tasks with equal requirements form a group. Groups are filed under the names of what they require,
in alphabetical order, so that a search meets only names that the agent has. Where many groups
require the same names they are halved by levels, again and again, and each half knows the first of
its tasks: a search goes into those halves only that may hold an earlier one than it has found.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from operator import ge

from agent_orchestration.domain.tasks.model import Requirement

Order = tuple[int, int, str]
"""(priority, seq of creation, id): smaller comes first."""
Levels = tuple[int, ...]
LAST: Order = (1 << 63, 0, "")
"""Comes after every task."""
ALL_LEVELS = (0, 1024)
MOST_GROUPS = 16
"""So many groups are looked at one by one."""


class Group:
    """Ready tasks with equal requirements.

    `run` has those that came in their order, `rest` (a heap) the others; `gone` is what either
    holds and should not.
    """

    __slots__ = ("first", "gone", "rest", "run")

    def __init__(self) -> None:
        self.first = LAST
        self.run: deque[Order] = deque()
        self.rest: list[Order] = []
        self.gone: set[Order] = set()

    def put(self, order: Order) -> None:
        """A task more."""
        if order in self.gone:
            self.gone.remove(order)
        elif not self.run or order > self.run[-1]:
            self.run.append(order)
        else:
            heappush(self.rest, order)
        self.first = min(self.first, order)

    def drop(self, order: Order) -> None:
        """A task less."""
        run, rest, gone = self.run, self.rest, self.gone
        if order == self.first:
            if run and run[0] == order:
                run.popleft()
            else:
                heappop(rest)
            if gone:
                self._clean()
            self.first = run[0] if run else LAST
            if rest and rest[0] < self.first:
                self.first = rest[0]
            return
        gone.add(order)
        if len(gone) > (len(run) + len(rest)) // 2 + 16:
            self.run = deque(sorted(self.orders()))
            rest.clear()
            gone.clear()

    def __len__(self) -> int:
        return len(self.run) + len(self.rest) - len(self.gone)

    def orders(self) -> set[Order]:
        """Its tasks."""
        return {*self.run, *self.rest} - self.gone

    def _clean(self) -> None:
        """Nothing that is gone stays in front."""
        run, rest, gone = self.run, self.rest, self.gone
        while run and run[0] in gone:
            gone.remove(run.popleft())
        while rest and rest[0] in gone:
            gone.remove(heappop(rest))


class Cell:
    """Groups that require the same names, at levels within `bounds` (from, below).

    `first` comes before all other tasks in here, and `levels` are what it requires. A cell with
    many groups hands them to its halves: those that require less than `split` of the name with the
    number `side`, and the others.
    """

    __slots__ = ("bounds", "first", "groups", "halves", "levels", "side", "split")

    def __init__(self, bounds: tuple[tuple[int, int], ...]) -> None:
        self.bounds = bounds
        self.first = LAST
        self.levels: Levels = ()
        self.groups: dict[Levels, Group] = {}
        self.halves: tuple[Cell, Cell] | None = None
        self.side = self.split = 0

    def put(self, levels: Levels, order: Order) -> None:
        """A task more."""
        cell: Cell = self
        while True:
            if order < cell.first:
                cell.first, cell.levels = order, levels
            if cell.halves is None:
                break
            cell = cell.halves[levels[cell.side] >= cell.split]
        group = cell.groups.get(levels)
        if group is None:
            group = cell.groups[levels] = Group()
        group.put(order)
        if len(cell.groups) > MOST_GROUPS:
            cell._divide()

    def drop(self, levels: Levels, order: Order) -> None:
        """A task less. An empty group goes, and the halves of an empty cell."""
        cell: Cell = self
        path: list[Cell] = [cell]
        while cell.halves is not None:
            cell = cell.halves[levels[cell.side] >= cell.split]
            path.append(cell)
        group = cell.groups[levels]
        group.drop(order)
        if group.first is LAST:
            del cell.groups[levels]
        while path and path[-1].first == order:
            path.pop()._find_first()

    def best(self, able: Levels, found: Order) -> tuple[Order, int]:
        """The first task that these levels are enough for, if it comes before `found`; and how
        many groups and halves were looked at."""
        looks = 0
        cells: list[Cell] = [self]
        while cells:
            cell = cells.pop()
            if cell.first >= found:
                continue
            looks += 1
            if all(map(ge, able, cell.levels)):
                found = cell.first
            elif cell.halves is not None:
                cells += cell.halves[: 1 + (able[cell.side] >= cell.split)][::-1]
            else:
                for levels, group in cell.groups.items():
                    looks += 1
                    if group.first < found and all(map(ge, able, levels)):
                        found = group.first
        return found, looks

    def all_groups(self) -> Iterator[tuple[Levels, Group]]:
        """Every group and what it requires."""
        yield from self.groups.items()
        for half in self.halves or ():
            yield from half.all_groups()

    def _find_first(self) -> None:
        self.first = LAST
        if self.halves is not None:
            for half in self.halves:
                if half.first < self.first:
                    self.first, self.levels = half.first, half.levels
            if self.first is LAST:
                self.halves = None
        for levels, group in self.groups.items():
            if group.first < self.first:
                self.first, self.levels = group.first, levels

    def _divide(self) -> None:
        """Halve the bounds of the name whose levels differ most, until no half has too many."""
        cells: list[Cell] = [self]
        while cells:
            cell = cells.pop()
            spread = [max(column) - min(column) for column in zip(*cell.groups, strict=True)]
            cell.side = side = spread.index(max(spread))
            lowest, above = cell.bounds[side]
            cell.split = split = (lowest + above) // 2
            if split == lowest:
                continue  # levels that no requirement may have: found all the same
            halves = tuple(
                Cell((*cell.bounds[:side], bounds, *cell.bounds[side + 1 :]))
                for bounds in ((lowest, split), (split, above))
            )
            for levels, group in cell.groups.items():
                halves[levels[side] >= split].groups[levels] = group
            cell.groups = {}
            cell.halves = (halves[0], halves[1])
            for half in halves:
                half._find_first()
                if len(half.groups) > MOST_GROUPS:
                    cells.append(half)


def _levels(requires: tuple[Requirement, ...]) -> Levels:
    if len(requires) == 1:
        return (requires[0].level,)
    return tuple([need.level for need in requires])


class Names:
    """The tasks that require certain names, and by one name `more` those that require it too."""

    __slots__ = ("cell", "more")

    def __init__(self, count: int = 0) -> None:
        self.cell = Cell((ALL_LEVELS,) * count)
        self.more: dict[str, Names] = {}

    def put(self, requires: tuple[Requirement, ...], order: Order) -> None:
        """A task more."""
        place: Names = self
        for need in requires:
            following = place.more.get(need.capability)
            if following is None:
                following = place.more[need.capability] = Names(len(place.cell.bounds) + 1)
            place = following
        place.cell.put(_levels(requires), order)

    def drop(self, requires: tuple[Requirement, ...], order: Order) -> None:
        """A task less. Names without tasks go."""
        place: Names = self
        for need in requires:
            place = place.more[need.capability]
        place.cell.drop(_levels(requires), order)
        if place.cell.first is LAST and not place.more:
            self._forget(requires)

    def _forget(self, requires: tuple[Requirement, ...]) -> None:
        path: list[Names] = [self]
        for need in requires:
            path.append(path[-1].more[need.capability])
        for need in reversed(requires):
            last = path.pop()
            if last.more or last.cell.first is not LAST:
                break
            del path[-1].more[need.capability]

    def best(
        self, able: Mapping[str, int], levels: Levels = (), found: Order = LAST
    ) -> tuple[Order, int]:
        """The first task that these abilities are enough for, if it comes before `found`; and how
        much was looked at. `levels` are those of the names so far."""
        looks, more = 1, self.more
        if self.cell.first < found:
            found, looks = self.cell.best(levels, found)
        for name in able if len(able) < len(more) else more:
            following = more.get(name)
            level = able.get(name)
            if following is not None and level is not None:
                found, seen = following.best(able, (*levels, level), found)
                looks += seen
        return found, looks

    def all_groups(
        self, names: tuple[str, ...] = ()
    ) -> Iterator[tuple[tuple[Requirement, ...], Group]]:
        """Every group and what it requires."""
        for levels, group in self.cell.all_groups():
            yield tuple(map(Requirement, names, levels)), group
        for name, following in self.more.items():
            yield from following.all_groups((*names, name))
