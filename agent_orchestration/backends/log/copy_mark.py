"""What a log keeps of having been filled from another one: until the copy is whole, nothing else
may use it."""

from typing import Protocol, runtime_checkable

import msgspec

from agent_orchestration.backends.log import Log
from agent_orchestration.core.errors import Rejected


class CopyMark(msgspec.Struct, frozen=True):
    """`source` is the epoch of the log that was copied, `whole` whether all of it is here."""

    source: int
    whole: bool


@runtime_checkable
class CopyTarget(Log, Protocol):
    """A log that can be filled from another one."""

    async def start_copy(self, source: int) -> None:
        """Open the log to be filled from the one whose epoch is `source`, under a new epoch that is
        later than both. Nothing else can open it until `end_copy`; a copy of the same log that was
        interrupted goes on. Raises what `start` does, and `Rejected` for a log that has records.
        """
        ...

    async def end_copy(self) -> None:
        """The copy is whole: from now on this is a log like any other."""
        ...


def goes_on(mark: CopyMark | None, source: int, *, empty: bool, remedy: str) -> bool:
    """Whether filling a log from `source` goes on with what an interrupted copy left; False where
    it begins. Raises `Rejected` where it may not, with the `remedy` for making the log anew."""
    if mark is not None and not mark.whole:
        if mark.source == source:
            return True
        reason = "the log to be filled is the unfinished copy of another one: finish that"
        raise Rejected("other_copy", f"{reason}, or {remedy}")
    if empty:
        return False
    if mark is not None and mark.source == source:
        reason = "the log to be filled is a whole copy of this one already: use it"
        raise Rejected("copied_already", f"{reason}, or {remedy}")
    raise Rejected("log_not_empty", f"the log to be filled has records of its own: {remedy}")


def unfinished(verb: str, remedy: str) -> Rejected:
    """The error of whoever opens a log that `verb` has not finished."""
    reason = f"`agent-orchestration {verb}` did not end, so the log is not whole: repeat it"
    return Rejected("log_unfinished", f"{reason}, or {remedy}")
