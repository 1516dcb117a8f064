"""Who a bearer token speaks for: a JSON Web Token (RFC 7519) that the issuer in the settings signed
for this server. PyJWT checks signature and claims, with the algorithms that the settings allow,
whatever the token says."""

import functools
from collections.abc import Mapping
from typing import Any, Protocol, cast

import jwt
import msgspec

from agent_orchestration.config_auth import Auth, key_algorithm
from agent_orchestration.core.dispatch import RESERVED, Caller
from agent_orchestration.core.errors import Forbidden, Unauthenticated
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.tool import LADDER, Role
from agent_orchestration.core.types import is_id
from agent_orchestration.server.callers import (
    PRINCIPAL,
    TENANT,
    bearer_token,
    caller_from_headers,
    conversation,
    has_token,
)
from agent_orchestration.server.disabled_users import DisabledUsers
from agent_orchestration.server.jwks import ALGORITHMS, KeySet

LEEWAY_SECONDS = 30
"""How much the clocks of issuer and server may differ."""
_REQUIRED = ["exp", "iss", "aud", "sub"]
_LONGEST_SUBJECT = 255


class Access(msgspec.Struct, frozen=True):
    """What a token grants: to whom, in which tenant, and until when (seconds since the epoch)."""

    principal: Principal
    tenant: str
    expires_at: int


class Keys(Protocol):
    """Where the keys of tokens come from."""

    async def key(self, name: str) -> jwt.PyJWK | None:
        """See `KeySet.key`."""
        ...


class AccessTokens:
    """Checks tokens by the settings; `keys` stands for those at `jwks_uri`."""

    def __init__(self, settings: Auth, keys: Keys | None = None) -> None:
        self.settings = settings
        self._key: str | None = None
        self._keys: Keys | None = None
        if settings.jwt_secret is not None:
            self._key, self._algorithms = settings.jwt_secret.get_secret_value(), ("HS256",)
        elif settings.public_key is not None:
            self._key, self._algorithms = settings.public_key, (key_algorithm(settings.public_key),)
        else:
            assert settings.jwks_uri is not None
            self._keys, self._algorithms = keys or KeySet(settings.jwks_uri), ALGORITHMS

    async def access(self, token: str) -> Access:
        """What the token grants. Raises `Unauthenticated` where it is not accepted, `Forbidden`
        where it names no role, or the platform itself, `Unavailable` where its key cannot be had
        now. No error shows it."""
        claims = await self._claims(token)
        subject = claims["sub"]
        if not (0 < len(subject) <= _LONGEST_SUBJECT and subject.isprintable()):
            raise _refused(f"sub: must be 1 to {_LONGEST_SUBJECT} printable characters")
        if subject in RESERVED:
            raise Forbidden(
                "reserved_subject",
                f"sub: {subject} is a name of the platform itself; ask who manages your identity "
                "provider for another",
            )
        tenant = self._id(claims, self.settings.tenant_claim)
        role = self._role(claims)
        agent = self._id(claims, self.settings.agent_claim) if role is Role.AGENT else None
        return Access(Principal(subject, role.value, agent), tenant, int(claims["exp"]))

    async def _claims(self, token: str) -> dict[str, Any]:
        if token.count(".") != 2:
            raise Unauthenticated(
                "wrong_token",
                "Authorization: the token is not this server's own, and no JSON Web Token",
            )
        try:
            key = self._key or await self._published(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise _refused(self._problem(error)) from None

    async def _published(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that a token names. Nobody is asked for it where its algorithm is refused."""
        assert self._keys is not None
        if header.get("alg") not in self._algorithms:
            raise jwt.InvalidAlgorithmError
        name = header.get("kid")
        if name is None:
            raise _refused("its header names no key (kid)")
        key = await self._keys.key(name)
        if key is None:
            raise _refused("the issuer has no key of the name (kid) in its header")
        return key

    def _problem(self, error: jwt.PyJWTError) -> str:
        match error:
            case jwt.ExpiredSignatureError():
                return "it has expired"
            case jwt.ImmatureSignatureError():
                return "it is not valid yet; compare the clocks of issuer and server"
            case jwt.InvalidAudienceError():
                return f"aud: it is not for {self.settings.audience}"
            case jwt.InvalidIssuerError():
                return f"iss: it does not come from {self.settings.issuer}"
            case jwt.MissingRequiredClaimError():
                return f"{error.claim}: is missing"
            case jwt.InvalidAlgorithmError():
                return f"alg: it must be signed with {' or '.join(self._algorithms)}"
            case jwt.InvalidSignatureError():
                return "its signature is not the issuer's"
            case _:
                return "it is malformed"

    def _id(self, claims: Mapping[str, Any], name: str) -> str:
        value = _claim(claims, name)
        if not isinstance(value, str) or not is_id(value):
            raise _refused(f"{name}: must be there, 1 to 128 letters, digits or . _ : -")
        return value

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """The most powerful of the roles that the token names; those of others are not ours."""
        named = _claim(claims, self.settings.roles_claim)
        names = named.split() if isinstance(named, str) else named
        if isinstance(names, list):
            for role in LADDER:
                if role in names:
                    return role
        known = ", ".join(LADDER)
        raise Forbidden(
            "no_role",
            f"{self.settings.roles_claim}: your token names none of the roles {known}; ask who "
            "manages your identity provider for one",
        )


async def authenticated(
    headers: Mapping[str, str],
    token: str | None,
    tokens: AccessTokens,
    disabled: DisabledUsers | None,
) -> Caller:
    """The caller of a request where everybody has to say who they are, by a token of the issuer, or
    who they act for, by the server's own `token`.

    Raises what `AccessTokens.access` and `caller_from_headers` raise, and `Unauthenticated` for a
    request without any token, or with that of a local user who is among the `disabled`.
    """
    if has_token(headers, token):
        return caller_from_headers(headers, token)
    given = bearer_token(headers)
    if not given:
        raise Unauthenticated(
            "token_required", "send a token of your identity provider in Authorization: Bearer"
        )
    access = await tokens.access(given)
    if PRINCIPAL in headers or TENANT in headers:
        raise Forbidden(
            "token_required",
            f"{PRINCIPAL} and {TENANT} need the server's own token; leave them out: yours says who "
            "you are",
        )
    if disabled is not None and await disabled.include(access.tenant, access.principal.id):
        raise Unauthenticated(
            "user_disabled", "Authorization: the token's user is disabled; ask an administrator"
        )
    return Caller(principal=access.principal, tenant=access.tenant, **conversation(headers))


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of that name, or the one at the end of a path with dots."""
    if name in claims:
        return claims[name]
    return functools.reduce(_member, name.split("."), claims)


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _refused(problem: str) -> Unauthenticated:
    return Unauthenticated(
        "invalid_token", f"Authorization: the token is refused: {problem}; get a new one"
    )
