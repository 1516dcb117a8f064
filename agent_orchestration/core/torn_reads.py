"""Reading from an engine without snapshots."""

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import pydantic

P = ParamSpec("P")
T = TypeVar("T")

#: How often a reader asks again before what it found counts as it is.
TORN_READS = 5


def read_whole(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """A reader that asks again where a row does not fit its model.

    An engine without snapshots (Neo4j) shows a node that is being written as it is at the moment:
    a property that moves to another place on its disk may be absent.
    """

    @functools.wraps(read)
    async def again(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(TORN_READS):
            with contextlib.suppress(pydantic.ValidationError):
                return await read(*args, **kwargs)
        return await read(*args, **kwargs)

    return again
