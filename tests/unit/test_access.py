"""What a token grants, and why one is refused."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from jwt.warnings import InsecureKeyLengthWarning

from agent_orchestration.core.dispatch import RESERVED
from agent_orchestration.core.errors import Forbidden, Unauthenticated, Unavailable
from agent_orchestration.core.messages import Principal
from agent_orchestration.server.access import AccessTokens
from agent_orchestration.server.jwks import FAILED_SECONDS, KEPT_SECONDS, PAUSE_SECONDS, KeySet
from tests.tokens import (
    AUDIENCE,
    ISSUER,
    JWKS_URI,
    SECRET,
    Later,
    Provider,
    claims,
    ec_key,
    public_pem,
    published,
    rsa_key,
    settings,
    signed,
    unsigned,
)


async def test_a_token_grants_principal_and_tenant_until_it_expires() -> None:
    said = claims(exp=Later(90))
    found = await AccessTokens(settings()).access(signed(said))
    assert (found.principal, found.tenant) == (Principal("ada", "viewer"), "acme")
    assert found.expires_at == said["exp"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"exp": Later(-31)}, "it has expired"),
        ({"exp": None}, "exp: is missing"),
        ({"exp": "soon"}, "it is malformed"),
        ({"nbf": Later(300)}, "it is not valid yet"),
        ({"iat": Later(300)}, "it is not valid yet"),
        ({"iss": "https://other.example"}, f"iss: it does not come from {ISSUER}"),
        ({"iss": None}, "iss: is missing"),
        ({"aud": "https://other.example"}, f"aud: it is not for {AUDIENCE}"),
        ({"aud": [AUDIENCE + "/more"]}, f"aud: it is not for {AUDIENCE}"),
        ({"aud": None}, "aud: is missing"),
        ({"sub": None}, "sub: is missing"),
        ({"sub": ""}, "sub: must be 1 to 255 printable characters"),
        ({"sub": "a\nb"}, "sub: must be 1 to 255 printable characters"),
        ({"sub": 7}, "it is malformed"),
        ({"tenant": None}, "tenant: must be there"),
        ({"tenant": "a/b"}, "tenant: must be there"),
        ({"tenant": ["acme"]}, "tenant: must be there"),
        ({"tenant": "a" * 129}, "tenant: must be there"),
        ({"roles": ["agent"]}, "agent_id: must be there"),
        ({"roles": ["agent"], "agent_id": "../x"}, "agent_id: must be there"),
    ],
    ids=str,
)
async def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any], problem: str) -> None:
    token = signed(claims(**changes))
    with pytest.raises(Unauthenticated) as refused:
        await AccessTokens(settings()).access(token)
    assert refused.value.code == "invalid_token"
    assert problem in refused.value.reason
    assert token not in refused.value.reason


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -20), ("nbf", 20), ("iat", 20)])
async def test_clocks_may_differ_by_half_a_minute(claim: str, seconds: int) -> None:
    token = signed(claims(**{claim: Later(seconds)}))
    assert (await AccessTokens(settings()).access(token)).tenant == "acme"


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["viewer", "analyst"], "analyst"),
        (["viewer", "admin", "agent"], "admin"),
        (["offline_access", "operator"], "operator"),
        ("openid viewer agent", "agent"),
    ],
    ids=str,
)
async def test_the_most_powerful_role_counts(roles: object, role: str) -> None:
    said = claims(roles=roles, agent_id="ann")
    found = await AccessTokens(settings()).access(signed(said))
    assert found.principal == Principal("ada", role, "ann" if role == "agent" else None)


@pytest.mark.parametrize("roles", [None, [], ["king"], "Admin", 5, {"admin": True}, [["admin"]]])
async def test_a_token_without_a_known_role_may_nothing(roles: object) -> None:
    with pytest.raises(Forbidden, match="admin, operator, agent, analyst, viewer") as refused:
        await AccessTokens(settings()).access(signed(claims(roles=roles)))
    assert refused.value.code == "no_role"


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_nobody_is_the_platform_itself(name: str) -> None:
    with pytest.raises(Forbidden, match=f"sub: {name} is a name of the platform") as refused:
        await AccessTokens(settings()).access(signed(claims(sub=name, roles=["admin"])))
    assert refused.value.code == "reserved_subject"
    for other in (name.title(), f"{name}1"):
        found = await AccessTokens(settings()).access(signed(claims(sub=other)))
        assert found.principal.id == other


async def test_claims_are_found_by_name_and_inside_others() -> None:
    named = settings(
        roles_claim="realm_access.roles", tenant_claim="https://x.example/tenant", agent_claim="a.b"
    )
    said = claims(
        roles=None,
        realm_access={"roles": ["agent"]},
        a={"b": "ann"},
        **{"https://x.example/tenant": "globex"},
    )
    found = await AccessTokens(named).access(signed(said))
    assert (found.principal, found.tenant) == (Principal("ada", "agent", "ann"), "globex")
    with pytest.raises(Forbidden):
        await AccessTokens(named).access(signed(said | {"realm_access": ["admin"]}))


@pytest.mark.parametrize("key", [rsa_key(0), ec_key()], ids=["rsa", "ec"])
async def test_a_public_key_fixes_the_algorithm(key: Any) -> None:
    own = "RS256" if key is rsa_key(0) else "ES256"
    pem = public_pem(key)
    tokens = AccessTokens(settings(public_key=pem))
    good = signed(claims(), key, own)
    assert (await tokens.access(good)).tenant == "acme"
    foreign = signed(claims(), ec_key(), "ES256") if own == "RS256" else with_key(0, None)
    longer = signed(claims(), rsa_key(0), "RS512")
    for forged in (unsigned(claims(), "none"), unsigned(claims(), "HS256", pem.encode()), foreign):
        with pytest.raises(Unauthenticated, match=f"alg: it must be signed with {own}"):
            await tokens.access(forged)
    with pytest.raises(Unauthenticated, match="alg"):
        await tokens.access(longer)
    promoted = signed(claims(roles=["admin"]), key, own).rpartition(".")[0]
    with pytest.raises(Unauthenticated, match="signature"):
        await tokens.access(f"{promoted}.{good.rpartition('.')[2]}")


#: Made when they are used: until then they might expire.
NO_TOKENS: dict[str, tuple[Callable[[], str], str]] = {
    "a word": (lambda: "sesame", "wrong_token"),
    "five parts": (lambda: "a.b.c.d.e", "wrong_token"),
    "empty parts": (lambda: "..", "invalid_token"),
    "three parts": (lambda: "a.b.c", "invalid_token"),
    "a letter more": (lambda: signed(claims()) + "é", "invalid_token"),
    "another secret": (
        lambda: signed(claims(), "another secret of 32 bytes or more"),
        "invalid_token",
    ),
    "unsigned": (lambda: unsigned(claims(), "none"), "invalid_token"),
    "another algorithm": (lambda: signed(claims(), SECRET, "HS512"), "invalid_token"),
    "critical": (lambda: signed(claims(), crit=["unknown"], unknown=1), "invalid_token"),
}


@pytest.mark.parametrize("name", NO_TOKENS)
async def test_what_is_no_token_of_the_issuer_is_refused(name: str) -> None:
    make, code = NO_TOKENS[name]
    token = make()
    with pytest.raises(Unauthenticated) as refused:
        await AccessTokens(settings()).access(token)
    assert refused.value.code == code
    assert token not in refused.value.reason


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def published_tokens(provider: Provider, clock: Clock) -> AccessTokens:
    keys = KeySet(JWKS_URI, clock=clock, transport=provider)
    return AccessTokens(settings(jwks_uri=JWKS_URI), keys)


def with_key(number: int, kid: str | None) -> str:
    return signed(claims(), rsa_key(number), "RS256", **({"kid": kid} if kid else {}))


async def test_published_keys_are_fetched_once() -> None:
    provider = Provider(published(rsa_key(0), "one"), published(ec_key(), "two", use="sig"))
    tokens = published_tokens(provider, Clock())
    for _ in range(3):
        assert (await tokens.access(with_key(0, "one"))).tenant == "acme"
        await tokens.access(signed(claims(), ec_key(), "ES256", kid="two"))
    assert provider.asked == 1
    with pytest.raises(Unauthenticated, match="signature"):
        await tokens.access(with_key(1, "one"))
    with pytest.raises(Unauthenticated, match="names no key"):
        await tokens.access(with_key(0, None))


async def test_an_unknown_key_is_looked_for_twice_a_minute_at_most() -> None:
    provider, clock = Provider(published(rsa_key(0), "one")), Clock()
    tokens = published_tokens(provider, clock)
    await tokens.access(with_key(0, "one"))
    provider.keys = [published(rsa_key(1), "next")]
    clock.now += PAUSE_SECONDS - 1
    with pytest.raises(Unauthenticated, match="no key of the name"):
        await tokens.access(with_key(1, "next"))
    assert provider.asked == 1
    clock.now += 1
    assert (await tokens.access(with_key(1, "next"))).tenant == "acme"
    assert provider.asked == 2
    with pytest.raises(Unauthenticated, match="no key of the name"):
        await tokens.access(with_key(0, "one"))
    with pytest.raises(Unauthenticated, match="alg"):
        await tokens.access(signed(claims(), kid="three"))
    assert provider.asked == 2


async def test_a_withdrawn_key_is_forgotten_within_an_hour() -> None:
    provider, clock = Provider(published(rsa_key(0), "one")), Clock()
    tokens = published_tokens(provider, clock)
    await tokens.access(with_key(0, "one"))
    provider.keys = [published(rsa_key(1), "next")]
    clock.now += KEPT_SECONDS
    with pytest.raises(Unauthenticated, match="no key of the name"):
        await tokens.access(with_key(0, "one"))


async def test_no_answer_of_the_provider_lets_nobody_in() -> None:
    provider, clock = Provider(published(rsa_key(0), "one")), Clock()
    provider.down = True
    tokens = published_tokens(provider, clock)
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await tokens.access(with_key(0, "one"))
        assert refused.value.details == {"retry_after": FAILED_SECONDS}
    assert provider.asked == 1
    provider.down = False
    clock.now += FAILED_SECONDS
    await tokens.access(with_key(0, "one"))
    provider.down = True
    clock.now += PAUSE_SECONDS
    with pytest.raises(Unavailable):
        await tokens.access(with_key(1, "next"))
    assert (await tokens.access(with_key(0, "one"))).tenant == "acme"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "?"}]}'])
async def test_an_answer_without_keys_is_none(body: bytes) -> None:
    provider = Provider()
    provider.body = body
    with pytest.raises(Unavailable):
        await published_tokens(provider, Clock()).access(with_key(0, "one"))
    provider.body, provider.status = None, 500
    provider.keys = [published(rsa_key(0), "one")]
    with pytest.raises(Unavailable):
        await published_tokens(provider, Clock()).access(with_key(0, "one"))


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "kid": "one", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
        published(rsa_key(0), "one", use="enc"),
        published(rsa_key(0), "one", alg="RS512"),
        published(rsa_key(0), "other"),
    ],
    ids=["secret", "encryption", "algorithm", "name"],
)
async def test_other_keys_of_the_provider_are_none_of_ours(key: dict[str, Any]) -> None:
    tokens = published_tokens(Provider(key), Clock())
    with pytest.raises(Unauthenticated, match="no key of the name"):
        await tokens.access(with_key(0, "one"))


async def test_a_short_rsa_key_is_not_believed() -> None:
    tokens = published_tokens(Provider(published(rsa_key(9, 1024), "one")), Clock())
    with pytest.warns(InsecureKeyLengthWarning):
        token = signed(claims(), rsa_key(9, 1024), "RS256", kid="one")
    with pytest.raises(Unauthenticated, match="malformed"):
        await tokens.access(token)
