"""Processes of one owner, and clients with a token, at a server that asks who calls."""

from collections.abc import AsyncIterator

import pytest

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, Unauthenticated
from agent_orchestration.core.messages import Principal
from agent_orchestration.remote import OwnerGone, RemoteDispatcher
from agent_orchestration.server.access import AccessTokens
from tests.tokens import claims, settings, signed
from tests.unit.server_fakes import ADA, TOKEN, FakeDispatcher, served

BOB = Caller(principal=Principal("bob", "operator"), tenant="globex")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with served(FakeDispatcher(), tokens=AccessTokens(settings())) as address:
        yield address


async def who(url: str, token: str | None, access_token: str | None, caller: Caller) -> list[str]:
    """Whom the server takes a caller for: principal, role, tenant."""
    registry = FakeDispatcher().registry
    remote = RemoteDispatcher(url, token, registry, 10, access_token=access_token)
    try:
        answer = await remote.call("whoami", {}, caller)
    finally:
        await remote.close()
    return [answer["principal"], answer["role"], answer["tenant"]]


async def test_with_the_server_s_own_token_a_process_speaks_for_others(url: str) -> None:
    assert await who(url, TOKEN, None, ADA) == ["ada", "viewer", "acme"]
    assert await who(url, TOKEN, None, BOB) == ["bob", "operator", "globex"]


async def test_an_access_token_speaks_for_whom_it_says(url: str) -> None:
    own = signed(claims(sub="eve", roles=["analyst"], tenant="initech"))
    for token in (None, TOKEN):
        assert await who(url, token, own, BOB) == ["eve", "analyst", "initech"]
    with pytest.raises(Forbidden, match="X-Principal and X-Tenant need the server's own token"):
        await who(url, own, None, BOB)


async def test_the_token_of_an_owner_that_is_gone_is_told_from_a_refused_one(url: str) -> None:
    with pytest.raises(OwnerGone):
        await who(url, "the token of the owner before", None, ADA)
    with pytest.raises(Unauthenticated, match="it has expired"):
        await who(url, None, signed(claims(exp=1)), ADA)
    with pytest.raises(Unauthenticated, match="send a token"):
        await who(url, None, None, ADA)
