"""The section `auth` of the settings."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, SecretStr, model_validator

from agent_orchestration.config_types import HttpUrl, NotEmpty, Section

#: What a header may quote, as RFC 6749 (section 3.3) has it.
_SCOPE = re.compile(r"[!#-\[\]-~]+")
SECRET_BYTES = 32
RSA_BITS = 2048


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SECRET_BYTES:
        raise ValueError(f"must have at least {SECRET_BYTES} bytes")
    return secret


def key_algorithm(pem: str) -> str:
    """What a public key (PEM) verifies: RS256 or ES256. Raises `ValueError` for any other."""
    # Only where there is a key: the library takes long to import.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM (BEGIN PUBLIC KEY)") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS:
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    raise ValueError(f"must be an RSA key of at least {RSA_BITS} bits or an EC key on P-256")


def _public_key(pem: str) -> str:
    key_algorithm(pem)
    return pem


def _one_scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise ValueError("must be one scope: visible ASCII without spaces, quotes and backslashes")
    return value


class Auth(Section):
    """Who calls over HTTP has to send a JSON Web Token, as soon as there are keys for them: a
    `jwt_secret` (HS256), a `public_key` (PEM; RS256 or ES256, as the key is), or those at
    `jwks_uri` (RS256, ES256). Tokens must come from `issuer` and be meant for `audience`.
    `authorization_servers` (without any: the issuer, where it is a URL) and `scopes` are what
    clients are told to ask for tokens. The claims name tenant, roles and agent, with dots between
    the parts of a claim inside another."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    public_key: Annotated[str, AfterValidator(_public_key)] | None = None
    jwks_uri: HttpUrl | None = None
    issuer: NotEmpty | None = None
    audience: NotEmpty | None = None
    authorization_servers: tuple[HttpUrl, ...] = ()
    scopes: tuple[Annotated[str, AfterValidator(_one_scope)], ...] = ()
    tenant_claim: NotEmpty = "tenant"
    roles_claim: NotEmpty = "roles"
    agent_claim: NotEmpty = "agent_id"

    @property
    def secret(self) -> str | None:
        """`jwt_secret` in clear."""
        return None if self.jwt_secret is None else self.jwt_secret.get_secret_value()

    @property
    def enabled(self) -> bool:
        """Whether callers have to say who they are."""
        return bool(self._sources())

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sources = self._sources()
        if len(sources) > 1:
            raise ValueError(f"{' and '.join(sources)} exclude each other: keep one of them")
        needed = [name for name in ("issuer", "audience") if getattr(self, name) is None]
        if sources and needed:
            raise ValueError(f"{sources[0]} needs {' and '.join(needed)}: set what tokens must say")
        if not sources and len(needed) < 2:
            raise ValueError("needs a key: jwt_secret (JWT_SECRET_KEY), public_key or jwks_uri")
        return self

    def _sources(self) -> list[str]:
        names = ("jwt_secret", "public_key", "jwks_uri")
        return [name for name in names if getattr(self, name) is not None]
