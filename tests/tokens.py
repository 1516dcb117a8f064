"""Tokens as an identity provider signs them, and the keys that it publishes."""

import base64
import functools
import hashlib
import hmac
import json
import time
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from agent_orchestration.config_auth import Auth

ISSUER = "https://id.example/realms/agents"
AUDIENCE = "https://agents.example/mcp"
SECRET = "a secret with as many bytes as the longest of the algorithms wants"
JWKS_URI = "https://id.example/keys"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same for the same number."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> str:
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def published(key: PrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The key as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def settings(**given: Any) -> Auth:
    """Settings with the secret, unless they name another source of keys."""
    source = {} if {"public_key", "jwks_uri"} & set(given) else {"jwt_secret": SECRET}
    return Auth.model_validate({"issuer": ISSUER, "audience": AUDIENCE, **source, **given})


class Later(int):
    """So many seconds from the moment in which a token is made."""


def claims(**changes: Any) -> dict[str, Any]:
    """What a viewer of acme is told, with these changes; None leaves a claim out."""
    now = int(time.time())
    usual: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "tenant": "acme",
        "roles": ["viewer"],
        "iat": now,
        "exp": now + 600,
    }
    return {
        name: now + value if isinstance(value, Later) else value
        for name, value in {**usual, **changes}.items()
        if value is not None
    }


def signed(
    said: dict[str, Any],
    key: PrivateKey | str = SECRET,
    algorithm: str = "HS256",
    **headers: Any,
) -> str:
    return jwt.encode(said, key, algorithm, headers or None)


def unsigned(said: dict[str, Any], algorithm: str, key: bytes | None = None, **headers: Any) -> str:
    """A token as no library writes it: without a signature, or signed with a public key."""
    header = {"alg": algorithm, "typ": "JWT", **headers}
    parts = [json.dumps(part).encode() for part in (header, said)]
    body = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    seal = b"" if key is None else hmac.digest(key, body, hashlib.sha256)
    return (body + b"." + base64.urlsafe_b64encode(seal).rstrip(b"=")).decode()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Provider(httpx2.AsyncBaseTransport):
    """An identity provider's address of keys; `asked` counts the requests."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.body: bytes | None = None
        self.status = 200
        self.down = False
        self.asked = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == JWKS_URI
        self.asked += 1
        if self.down:
            raise httpx2.ConnectError("nobody listens", request=request)
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        return httpx2.Response(self.status, content=body, request=request)
