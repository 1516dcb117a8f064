"""What a check of `doctor` finds."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail", "unchecked"]


class Check(NamedTuple):
    """One finding. `detail` is what was seen; `remedy` is empty where nothing has to be done.
    `unchecked`: from here it cannot be seen, and the remedy says where to look."""

    name: str
    state: State
    detail: str
    remedy: str = ""
