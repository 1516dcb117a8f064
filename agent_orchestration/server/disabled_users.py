"""Local users who were disabled while access tokens of theirs were out."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from agent_orchestration.core.accounts import Accounts
from agent_orchestration.core.errors import PlatformError

KEPT_SECONDS = 5.0
"""For how long what was heard of a user is believed."""
PATIENCE_SECONDS = 1.0
"""For how long a request waits to hear of its user."""
MOST_REMEMBERED = 10_000
"""Users that are remembered; beyond that, those who were heard of first are asked about again."""


class DisabledUsers:
    """Knows who is disabled, a few seconds late: one look at the accounts serves many requests.

    While nobody can say, it stays as it was heard last: else an outage would stop work that goes on
    without the graph. `accounts` is asked for at each look, `clock` gives seconds.
    """

    def __init__(
        self, accounts: Callable[[], Accounts], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        #: Whether the user is disabled, and until when that is believed.
        self._heard: OrderedDict[tuple[str, str], tuple[bool, float]] = OrderedDict()

    async def include(self, tenant: str, user_id: str) -> bool:
        """Whether the user is one of them; who is no local user is not."""
        user = tenant, user_id
        disabled, until = self._heard.get(user, (False, -math.inf))
        if self._clock() < until:
            return disabled
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                disabled = await self._accounts().is_disabled(tenant, user_id)
        except (PlatformError, TimeoutError):
            pass
        self._heard[user] = disabled, self._clock() + KEPT_SECONDS
        if len(self._heard) > MOST_REMEMBERED:
            self._heard.popitem(last=False)
        return disabled
