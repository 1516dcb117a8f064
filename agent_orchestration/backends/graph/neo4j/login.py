"""Logging in to a server that refuses it: after some wrong passwords Neo4j lets nobody in under
that name for a while, so whoever tries all the time keeps out those who could set it right."""

import time
from collections.abc import Callable

from neo4j.exceptions import Neo4jError

from agent_orchestration.backends.graph.neo4j.errors import Neo4jConnectionError, login_refused

#: After a refusal so many seconds pass, twice as many after the next one, up to the most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: While one tries, others wait for what becomes of it, or for so many seconds.
TRY_SECONDS = 5.0
_REFUSALS = {
    f"Neo.ClientError.Security.{name}"
    for name in ("AuthenticationRateLimit", "CredentialsExpired", "Unauthorized")
}


class Login:
    """After a refusal nobody tries for a while, then one does. `now` gives seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pause = 0.0
        self._next = 0.0
        self._trying = False
        self._refusal: Neo4jConnectionError | None = None

    def begin(self) -> None:
        """The server is going to be asked for something. Raises `Unavailable` during a pause."""
        if self._refusal is None:
            return
        now = self._now()
        if now < self._next:
            raise Neo4jConnectionError(self._refusal.code, self._refusal.reason)
        self._next, self._trying = now + TRY_SECONDS, True

    def worked(self) -> None:
        """The server did what it was asked for."""
        self._pause, self._refusal = 0.0, None

    def failed(self, error: Neo4jError) -> None:
        """The server did not; several that were under way together count once."""
        if error.code in _REFUSALS and (self._refusal is None or self._trying):
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            self._next = self._now() + self._pause
            self._refusal, self._trying = login_refused(error), False
