"""The command line about local accounts, on a data folder that is free and on one that is owned."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.program import PATIENCE, answer, run, server, wait_for

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery"
SETTINGS = {"JWT_SECRET_KEY": "a secret with as many bytes as it needs"}
AUTH = "auth:\n  issuer: https://ao.example\n  audience: https://ao.example/mcp\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with settings that say who signs tokens."""
    (tmp_path / "config.yaml").write_text(AUTH)
    return tmp_path


def users(home: Path, *words: str, stdin: str = "") -> Any:
    return answer(home, "users", *words, "--data", str(home / "data"), stdin=stdin, more=SETTINGS)


def log_in(web: httpx2.Client, user: str, password: str, tenant: str = "default") -> int:
    form = {"grant_type": "password", "username": user, "password": password, "tenant": tenant}
    return web.post("/token", data=form).status_code


def test_the_first_administrator_is_made_before_there_is_a_server(home: Path) -> None:
    added = users(home, "add", "ada", "viewer", "admin", "--name", "Ada", stdin=f"{PASSWORD}\n")
    assert (added["id"], added["name"], added["roles"]) == ("ada", "Ada", ["admin", "viewer"])
    users(home, "add", "tom", "viewer", "--tenant", "acme", stdin=PASSWORD)
    assert [user["id"] for user in users(home, "list")] == ["ada"]
    with (
        server(home, more=SETTINGS) as (_, said),
        httpx2.Client(base_url=said["url"], timeout=PATIENCE, trust_env=False) as web,
    ):
        assert log_in(web, "ada", PASSWORD) == 200
        assert log_in(web, "tom", PASSWORD, "acme") == 200
        # The server owns the folder now: the verbs ask it.
        assert users(home, "set-roles", "ada", "operator")["roles"] == ["operator"]
        assert users(home, "list")[0]["sessions"] == 1
        users(home, "password", "ada", stdin="another password\r\n")
        assert log_in(web, "ada", PASSWORD) == 401
        assert log_in(web, "ada", "another password") == 200
        assert users(home, "disable", "ada")["sessions"] == 0
        assert log_in(web, "ada", "another password") == 401
        users(home, "enable", "ada")
        assert log_in(web, "ada", "another password") == 200


def test_who_joined_the_owner_lets_users_log_in(home: Path) -> None:
    users(home, "add", "ada", "viewer", stdin=PASSWORD)
    with (
        server(home, more=SETTINGS) as (_, owner),
        server(home, more=SETTINGS) as (_, joined),
        httpx2.Client(base_url=joined["url"], timeout=PATIENCE, trust_env=False) as web,
    ):
        assert joined["url"] != owner["url"]
        assert log_in(web, "ada", "wrong password") == 401
        form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
        first = web.post("/token", data=form).json()["refresh_token"]
        again = {"grant_type": "refresh_token", "refresh_token": first}
        second = web.post(f"{owner['url']}/token", data=again).json()
        allowed = {"Authorization": f"Bearer {second['access_token']}"}
        assert web.post("/api/v1/tools/list_users", json={}, headers=allowed).status_code == 200
        last = second["refresh_token"]
        assert web.post("/token/revoke", data={"token": last}).status_code == 200
        spent = web.post("/token", data={**again, "refresh_token": last})
        assert (spent.status_code, spent.json()["error"]) == (400, "invalid_grant")
        users(home, "disable", "ada")

        def code() -> str:
            answer = web.post("/api/v1/tools/list_users", json={}, headers=allowed)
            return answer.json().get("code", "")

        wait_for(lambda: code() == "user_disabled", "the one who joined to hear of it")


def test_people_read_what_was_done(home: Path) -> None:
    words = ("--data", str(home / "data"))
    done = run(home, "users", "add", "ada", "admin", *words, stdin=PASSWORD, more=SETTINGS)
    assert (done.returncode, done.stdout) == (0, "ada: admin\n")
    done = run(home, "users", "disable", "ada", *words, more=SETTINGS)
    assert done.stdout == "ada: disabled\n"
    done = run(home, "users", "list", *words, more=SETTINGS)
    assert "ada" in done.stdout


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("add", "ada", "admin"), "", "is expected as one line of standard input"),
        (("add", "ada", "admin"), "short", "password: "),
        (("add", "ada", "boss"), PASSWORD, "roles.0: "),
        (("add", "a b", "admin"), PASSWORD, "id: must be 1 to 128"),
        (("password", "ada"), PASSWORD, "there is no user ada"),
        (("list", "--tenant", "a/b"), "", "must be 1 to 128"),
        (("list", "--tenant", "acme"), "", "an access token says itself whose users"),
    ],
    ids=["no password", "short", "role", "name", "unknown", "tenant", "token"],
)
def test_what_is_wrong_is_said(home: Path, words: tuple[str, ...], stdin: str, says: str) -> None:
    data = str(home / "data")
    remote = {"AGENT_ORCHESTRATION_SERVER": "http://127.0.0.1:9"} if "acme" in words else {}
    done = run(home, "users", *words, "--data", data, stdin=stdin, more=SETTINGS | remote)
    assert done.returncode not in (0, 1)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_secret_there_are_no_accounts(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    done = run(tmp_path, "users", "add", "ada", "admin", "--data", data, stdin=PASSWORD)
    assert done.returncode == 3
    assert "auth.jwt_secret: is not set" in done.stderr
