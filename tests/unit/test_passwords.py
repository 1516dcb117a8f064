"""What is kept of passwords: nothing that they could be guessed from without the secret."""

import base64

import bcrypt
import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.passwords import Passwords

SECRET = "a secret of thirty-two bytes or so"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is that of bcrypt, not ours."""
    monkeypatch.setattr("agent_orchestration.passwords.COST", 4)


def passwords(secret: str | None = SECRET) -> Passwords:
    return Passwords(secret)


async def kept_of(password: str = PASSWORD, key: str | None = None) -> str:
    return await passwords().hashed("acme", "ada", password, key)


async def test_a_password_is_right_and_no_other_is() -> None:
    kept = await kept_of()
    assert await passwords().right("acme", "ada", PASSWORD, kept)
    for other in ("", "Correct horse battery", f"{PASSWORD} ", f"{PASSWORD}\x00"):
        assert not await passwords().right("acme", "ada", other, kept)


async def test_all_of_a_long_password_counts() -> None:
    long = "x" * 100
    kept = await kept_of(long)
    assert await passwords().right("acme", "ada", long, kept)
    assert not await passwords().right("acme", "ada", long[:-1], kept)


@pytest.mark.parametrize(
    ("tenant", "user", "secret"),
    [("other", "ada", SECRET), ("acme", "eve", SECRET), ("acme", "ada", SECRET[::-1])],
)
async def test_what_was_kept_is_of_use_for_that_user_and_secret_only(
    tenant: str, user: str, secret: str
) -> None:
    kept = await kept_of()
    assert not await passwords(secret).right(tenant, user, PASSWORD, kept)


@pytest.mark.parametrize("kept", [None, "", "x", "x" * 40, "é"])
async def test_where_nothing_was_kept_no_password_is_right(kept: str | None) -> None:
    assert not await passwords().right("acme", "ada", PASSWORD, kept)


async def test_as_much_is_computed_where_there_is_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[bytes] = []

    def check(_password: bytes, hashed: bytes) -> bool:
        costs.append(hashed[:7])
        return False

    kept = await kept_of()
    monkeypatch.setattr(bcrypt, "checkpw", check)
    await passwords().right("acme", "ada", PASSWORD, kept)
    await passwords().right("acme", "ada", PASSWORD, None)
    assert costs == [b"$2b$04$", b"$2b$12$"]


async def test_the_hash_is_not_in_what_is_kept() -> None:
    kept = await kept_of()
    assert b"$2b$" not in base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4))


async def test_the_same_password_is_kept_in_another_form_each_time() -> None:
    assert await kept_of() != await kept_of()


async def test_under_an_idempotency_key_the_form_is_the_same() -> None:
    kept = await kept_of(key="once")
    assert await kept_of(key="once") == kept
    assert await passwords().right("acme", "ada", PASSWORD, kept)
    others = {
        await kept_of(key="twice"),
        await kept_of("another password", key="once"),
        await passwords().hashed("acme", "bob", PASSWORD, "once"),
        await passwords().hashed("other", "ada", PASSWORD, "once"),
    }
    assert len(others | {kept}) == 5


def test_a_tokens_digest_needs_the_secret() -> None:
    digest = passwords().digest("token")
    assert len(bytes.fromhex(digest)) == 32
    assert digest == passwords().digest("token")
    assert len({digest, passwords().digest("other"), passwords("x" * 32).digest("token")}) == 3


async def test_without_a_secret_there_are_no_local_accounts() -> None:
    with pytest.raises(Rejected, match=r"^auth\.jwt_secret: is not set") as refused:
        await passwords(None).hashed("acme", "ada", PASSWORD, None)
    assert refused.value.code == "no_local_accounts"
