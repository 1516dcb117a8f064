"""The settings of tokens: one source of keys, and whose tokens they are."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.config import ConfigError, load_config
from agent_orchestration.config_types import secrets_of
from tests.tokens import JWKS_URI, SECRET, private_pem, public_pem, rsa_key, settings


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"jwt_secret": "x" * 31}, "must have at least 32 bytes"),
        ({"public_key": "key"}, "is no public key in PEM"),
        ({"public_key": private_pem(rsa_key(0))}, "is no public key in PEM"),
        ({"public_key": public_pem(rsa_key(9, 1024))}, "at least 2048 bits"),
        ({"jwks_uri": JWKS_URI, "jwt_secret": SECRET}, "jwt_secret and jwks_uri exclude"),
        ({"issuer": None}, "jwt_secret needs issuer:"),
        ({"issuer": None, "audience": None}, "jwt_secret needs issuer and audience"),
        ({"jwt_secret": None}, "needs a key: jwt_secret"),
        ({"jwks_uri": "file:///keys"}, "must begin with http:// or https://"),
        ({"scopes": ["openid profile"]}, "must be one scope"),
        ({"scopes": ['a"b']}, "must be one scope"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_settings_that_do_not_go_together_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        settings(**given)
    assert SECRET not in str(refused.value)


def test_a_secret_of_tokens_needs_to_know_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"JWT_SECRET_KEY": "canary " * 5})
    assert caught.value.problems == [
        "auth: jwt_secret needs issuer and audience: set what tokens must say"
    ]
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"JWT_SECRET_KEY": "canary"})
    assert caught.value.problems == ["JWT_SECRET_KEY: must have at least 32 bytes"]


def test_secrets_of_tokens_are_masked_and_found() -> None:
    config = load_config(environ={"AGENT_ORCHESTRATION_ACCESS_TOKEN": "canary"})
    assert "canary" not in repr(config) + config.model_dump_json()
    assert secrets_of(config) == ["canary"]
    assert SECRET not in repr(settings())
    assert secrets_of(settings()) == [SECRET]
