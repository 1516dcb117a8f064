"""A stand-in for a service of language models that runs beside a test."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from agent_orchestration.stand_in_model.app import create_stand_in
from agent_orchestration.stand_in_model.script import Script
from tests.listening import listening


class StandIn:
    """Where it is, and what it counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"

    async def usage(self) -> dict[str, Any]:
        """What it was asked since the start."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}/stand-in/usage")).json()


@asynccontextmanager
async def stand_in(script: dict[str, Any] | None = None) -> AsyncGenerator[StandIn]:
    """The server with that script, given as plain data."""
    app = create_stand_in(msgspec.convert(script or {}, type=Script))
    async with listening(app) as url:
        yield StandIn(url)
