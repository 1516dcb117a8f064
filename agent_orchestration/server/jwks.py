"""The public keys that an identity provider publishes (JSON Web Key Set, RFC 7517)."""

import asyncio
import logging
import math
import time
from collections.abc import Callable

import httpx2
import jwt

from agent_orchestration.core.errors import Unavailable

ALGORITHMS = ("RS256", "ES256")
KEPT_SECONDS = 3600.0
"""A key that the provider has withdrawn is believed so long at most."""
PAUSE_SECONDS = 30.0
"""Between two looks at the provider's keys: tokens that name unknown keys cost it nothing."""
FAILED_SECONDS = 5.0
"""The same where it did not answer."""
TIMEOUT_SECONDS = 5.0

logger = logging.getLogger(__name__)


class KeySet:
    """The keys at `uri`, fetched when one is asked for that is not known.

    `clock`: seconds, as `time.monotonic`; `transport` is what requests go through.
    """

    def __init__(
        self,
        uri: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._uri = uri
        self._clock = clock
        self._transport = transport
        self._keys: dict[str, jwt.PyJWK] = {}
        self._until = self._again = -math.inf
        self._failed = False
        self._fetching = asyncio.Lock()

    async def key(self, name: str) -> jwt.PyJWK | None:
        """The key of that name (`kid`), None where the provider has none. Raises `Unavailable`
        where nobody can say."""
        if (found := self._known(name)) is not None:
            return found
        async with self._fetching:
            if self._known(name) is None and self._clock() >= self._again:
                await self._fetch()
            if self._failed and self._known(name) is None:
                raise Unavailable(
                    "keys_unavailable",
                    "the keys of the identity provider cannot be fetched, so no token can be "
                    "checked; repeat the same request in a moment",
                    retry_after=max(0.0, self._again - self._clock()),
                )
            return self._known(name)

    def _known(self, name: str) -> jwt.PyJWK | None:
        return self._keys.get(name) if self._clock() < self._until else None

    async def published(self) -> dict[str, jwt.PyJWK]:
        """The keys that tokens may be signed with, as the provider has them now, by name. Raises
        `Unavailable`, which says why there are none to be had."""
        try:
            async with httpx2.AsyncClient(
                timeout=TIMEOUT_SECONDS, transport=self._transport
            ) as client:
                response = (await client.get(self._uri)).raise_for_status()
            found = jwt.PyJWKSet.from_json(response.text)
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            jwt.PyJWTError,
            ValueError,
            AttributeError,
        ) as error:
            raise Unavailable(
                "no_keys", f"auth.jwks_uri: {self._uri} gave no keys: {error}"
            ) from None
        return {
            key.key_id: key
            for key in found
            if key.key_id
            and key.algorithm_name in ALGORITHMS
            and key.public_key_use in {None, "sig"}
        }

    async def _fetch(self) -> None:
        try:
            self._keys = await self.published()
        except Unavailable as error:
            logger.error("no token can be checked: %s", error.reason)
            self._failed, self._again = True, self._clock() + FAILED_SECONDS
            return
        self._failed, self._again = False, self._clock() + PAUSE_SECONDS
        self._until = self._clock() + KEPT_SECONDS
