"""An installation with local accounts, and short ways to use them over HTTP without a network."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from agent_orchestration.app import Platform, open_backends, wall_clock
from agent_orchestration.backends import Backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.server.access import AccessTokens
from tests.running import running
from tests.security.door import behind_door
from tests.tokens import SECRET, settings

PASSWORD = "correct horse battery"
WRONG = {
    "error": "invalid_grant",
    "error_description": "the user name or the password is wrong",
}


class Clock:
    """The log's clock, in milliseconds: as everywhere, but that time may be skipped."""

    ahead = 0

    def __call__(self) -> int:
        return wall_clock() + self.ahead


class Installation(NamedTuple):
    """A platform that keeps users, and a client of it."""

    platform: Platform
    backends: Backends
    web: httpx2.AsyncClient
    clock: Clock

    async def add(self, user: str, tenant: str = "default", **more: Any) -> Any:
        """Add a user: an operator, unless `more` says otherwise."""
        given = {"id": user, "password": PASSWORD, "roles": ["operator"], **more}
        return await self.platform.call("add_user", given, Caller(tenant=tenant))

    async def update(self, user: str, **more: Any) -> Any:
        """Change a user of the default tenant."""
        return await self.platform.call("update_user", {"user_id": user, **more}, Caller())

    async def log_in(self, user: str, password: str = PASSWORD, **more: str) -> httpx2.Response:
        """The answer to a login."""
        form = {"grant_type": "password", "username": user, "password": password, **more}
        return await self.web.post("/token", data=form)

    async def session(self, user: str, **more: str) -> dict[str, Any]:
        """What a login that must succeed answers."""
        answer = await self.log_in(user, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self, token: str) -> httpx2.Response:
        """The answer to a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.web.post("/token", data=form)

    async def revoke(self, token: str) -> httpx2.Response:
        """The answer to a logout."""
        return await self.web.post("/token/revoke", data={"token": token})


@asynccontextmanager
async def installation(folder: Path) -> AsyncGenerator[Installation]:
    """One on a folder. Hashes cost little there: how much is bcrypt's business."""
    clock = Clock()
    backends = open_backends(Config(data=folder), clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agent_orchestration.passwords.COST", 4)
        async with (
            running(Platform(backends, clock, secret=SECRET)) as platform,
            behind_door(platform, AccessTokens(settings())) as web,
        ):
            yield Installation(platform, backends, web, clock)


def is_refused(answer: httpx2.Response) -> bool:
    """Whether a refresh token was refused as the standard says."""
    return (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
