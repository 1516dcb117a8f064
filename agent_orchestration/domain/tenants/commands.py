"""Intentions about a tenant."""

from typing import Annotated

from msgspec import Meta

from agent_orchestration.core.messages import Command


class RaiseRules(Command, frozen=True, kw_only=True):
    """From now on, decide by this version of the rules."""

    rules: Annotated[int, Meta(ge=1, le=1_000_000)]
