"""Passwords of local accounts: what is kept of them, and whether one is right.

What is kept is a bcrypt hash under a seal (AES-SIV, RFC 5297) whose key comes from the secret of
the installation: log, graph, feeds and backups hold nothing that a password could be guessed from.
The seal names tenant and user, so that what was kept of one is of no use for another.
"""

import asyncio
import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from agent_orchestration.core.errors import Rejected

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

COST = 12
"""bcrypt's: 2 to the power of it rounds, some tenths of a second."""
AT_ONCE = 2
"""Passwords that are hashed at once: each keeps a processor busy."""
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_IN_BCRYPT = bytes.maketrans(_STANDARD, _BCRYPT)
_NOBODYS = b"$2b$%02d$" % COST + b"." * 53
"""Compared where there is no user, so that it takes as long."""


class Passwords:
    """The passwords of an installation with that secret; without one there are none."""

    def __init__(self, secret: str | None) -> None:
        self._secret = None if secret is None else secret.encode()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def hashed(self, tenant: str, user_id: str, password: str, key: str | None) -> str:
        """What is kept of the password: URL-safe text.

        The same again under the same idempotency key, so that a repeated command has the same
        body. Raises `Rejected` without a secret.
        """
        salt = os.urandom(16) if key is None else self._derived("salt", tenant, user_id, key)[:16]
        encoded = base64.b64encode(salt).rstrip(b"=").translate(_IN_BCRYPT)
        async with self._free:
            hashed = await asyncio.to_thread(_hash, password, b"$2b$%02d$" % COST + encoded)
        sealed = self._seal().encrypt(hashed, [tenant.encode(), user_id.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    async def right(self, tenant: str, user_id: str, password: str, kept: str | None) -> bool:
        """Whether it is the password that this was kept of; None: of nobody, which is never right
        but takes as long. Raises `Rejected` without a secret."""
        hashed = _NOBODYS if kept is None else self._opened(tenant, user_id, kept)
        async with self._free:
            same = await asyncio.to_thread(_fits, password, hashed)
        return same and hashed is not _NOBODYS

    def digest(self, token: str) -> str:
        """What is kept of a token that is random: its keyed SHA-256, as 64 hex digits. Raises
        `Rejected` without a secret."""
        return hmac.digest(self._derived("token"), token.encode(), "sha256").hex()

    def _opened(self, tenant: str, user_id: str, kept: str) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (start-up time)

        try:
            sealed = base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4))
            return self._seal().decrypt(sealed, [tenant.encode(), user_id.encode()])
        except (InvalidTag, ValueError):
            # Of another secret: nobody knows a password that fits.
            return _NOBODYS

    def _seal(self) -> "AESSIV":
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 (start-up time)
            AESSIV,
        )

        return AESSIV(self._derived("seal"))

    def _derived(self, *purpose: str) -> bytes:
        """64 bytes that only who has the secret can make, others for every purpose."""
        if self._secret is None:
            raise Rejected(
                "no_local_accounts",
                "auth.jwt_secret: is not set, so nobody can log in with a password; set it, or"
                " JWT_SECRET_KEY",
                field="auth.jwt_secret",
            )
        # No part of a purpose has a line break, so no two purposes are the same text.
        return hmac.digest(self._secret, "\n".join(("passwords", *purpose)).encode(), "sha512")


def _hash(password: str, salt: bytes) -> bytes:
    import bcrypt  # noqa: PLC0415 (start-up time)

    return bcrypt.hashpw(_prepared(password), salt)


def _fits(password: str, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 (start-up time)

    return bcrypt.checkpw(_prepared(password), hashed)


def _prepared(password: str) -> bytes:
    """As bcrypt takes it: any length, within the 72 bytes that it looks at, and no NUL."""
    return base64.b64encode(hashlib.sha256(password.encode()).digest())
