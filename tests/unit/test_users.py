"""Users, and their sessions: refresh tokens that are good once, and what ends them."""

from typing import Any

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.messages import Command
from agent_orchestration.domain.users.commands import UpdateUser
from agent_orchestration.domain.users.events import (
    SessionBegun,
    SessionEnded,
    SessionRotated,
    UserAdded,
    UserUpdated,
)
from agent_orchestration.domain.users.index import OpenSessions
from agent_orchestration.domain.users.model import MOST_SESSIONS, SESSION_MS, Session, User
from tests.unit.domain import START, Domain, replay, snapshot
from tests.unit.user_examples import (
    HASH,
    add,
    begin,
    digest,
    disable,
    end,
    rotate,
)

OTHER = "another-sealed-hash"
MONTH = SESSION_MS // 1000


def user(domain: Domain, user_id: str = "ada") -> User:
    found = domain.state.get(User, user_id)
    assert found is not None
    return found


def session(domain: Domain, session_id: str = "home") -> Session:
    found = domain.state.get(Session, session_id)
    assert found is not None
    return found


def open_sessions(domain: Domain, user_id: str = "ada") -> tuple[str, ...]:
    return domain.state.index(OpenSessions).of(user_id)


# ── users


def test_a_user_is_added() -> None:
    domain = Domain()
    event = domain.event(add(), UserAdded)
    assert event == UserAdded(user_id="ada", name="Ada", roles=("admin",), password_hash=HASH)
    assert event.reply() == {"user_id": "ada"}
    ada = user(domain)
    assert (ada.name, ada.roles, ada.password_hash) == ("Ada", ("admin",), HASH)
    assert (ada.added_at, ada.password_at, ada.disabled_at) == (START, START, None)


def test_a_user_name_is_taken_once() -> None:
    refused = Domain().given(add()).refused(add(password_hash=OTHER))
    assert (refused.code, refused.details["user_id"]) == ("already_exists", "ada")


def test_what_is_left_out_stays() -> None:
    domain = Domain().given(add())
    event = domain.event(UpdateUser(user_id="ada", roles=("viewer",)), UserUpdated)
    assert event == UserUpdated(
        user_id="ada", name=None, roles=("viewer",), disabled=None, password_hash=None, ended=()
    )
    ada = user(domain)
    assert (ada.name, ada.roles, ada.password_hash) == ("Ada", ("viewer",), HASH)


def test_a_name_may_change() -> None:
    domain = Domain().given(add(), UpdateUser(user_id="ada", name="Countess"))
    assert user(domain).name == "Countess"


@pytest.mark.parametrize(
    "command",
    [
        UpdateUser(user_id="ada"),
        UpdateUser(user_id="ada", name="Ada", roles=("admin",), disabled=False, password_hash=HASH),
    ],
    ids=["nothing", "the same"],
)
def test_what_is_so_already_is_nothing_to_do(command: Command) -> None:
    assert Domain().given(add()).nothing(command) == {"user_id": "ada"}


def test_an_unknown_user_is_not_updated() -> None:
    refused = Domain().refused(disable())
    assert isinstance(refused, NotFound)
    assert (refused.code, refused.details["field"]) == ("unknown_user", "user_id")


def test_a_user_is_disabled_and_enabled() -> None:
    domain = Domain().given(add()).pass_seconds(1)
    assert domain.event(disable(), UserUpdated).disabled is True
    assert user(domain).disabled_at == START + 1000
    domain.given(disable(False))
    assert user(domain).disabled_at is None


@pytest.mark.parametrize(
    "change",
    [
        {"roles": []},
        {"roles": ["agent"]},
        {"roles": ["admin"] * 5},
        {"password_hash": "short"},
        {"password_hash": "correct horse battery"},
        {"password_hash": f"{HASH}\n"},
        {"user_id": "a b"},
        {"name": ""},
    ],
    ids=str,
)
def test_bad_users_are_refused_before_the_log(change: dict[str, Any]) -> None:
    body = msgspec.json.encode({**msgspec.to_builtins(add()), **change})
    with pytest.raises(msgspec.ValidationError):
        REGISTRY.decode_command("AddUser", body)


# ── sessions


def test_a_login_begins_a_session() -> None:
    domain = Domain().given(add())
    event = domain.event(begin(), SessionBegun)
    assert event == SessionBegun(
        session_id="home",
        user_id="ada",
        roles=("admin",),
        token_digest=digest(),
        expires_at=START + SESSION_MS,
        ended=(),
    )
    assert event.reply() == {"user_id": "ada", "roles": ("admin",)}
    home = session(domain)
    assert (home.user_id, home.status, home.begun_at) == ("ada", "open", START)
    assert open_sessions(domain) == ("home",)


@pytest.mark.parametrize(
    "command",
    [begin(user_id="eve"), begin(password_at=START - 1)],
    ids=["unknown user", "another password since"],
)
def test_a_login_that_is_not_good_is_refused(command: Command) -> None:
    refused = Domain().given(add()).refused(command)
    assert (type(refused), refused.code) == (Rejected, "invalid_grant")


def test_a_disabled_user_does_not_log_in() -> None:
    assert Domain().given(add(), disable()).refused(begin()).code == "invalid_grant"


def test_a_sessions_id_is_its_own() -> None:
    assert Domain().given(add(), begin()).refused(begin()).code == "already_exists"
    assert Domain().given(add(), begin(), end()).refused(begin()).code == "already_exists"


def test_a_refresh_token_is_exchanged_for_the_next_one() -> None:
    domain = Domain().given(add(), begin(), UpdateUser(user_id="ada", roles=("viewer",)))
    event = domain.pass_seconds(5).event(rotate(), SessionRotated)
    assert event == SessionRotated(
        session_id="home",
        user_id="ada",
        roles=("viewer",),
        token_digest=digest("second"),
        expires_at=START + 5000 + SESSION_MS,
    )
    assert event.reply() == {"user_id": "ada", "roles": ("viewer",)}
    assert domain.event(rotate("second", "third"), SessionRotated).token_digest == digest("third")


def test_a_refresh_token_that_was_spent_ends_the_session() -> None:
    domain = Domain().given(add(), begin(), rotate())
    event = domain.event(rotate(), SessionEnded)
    assert event.reply() == {"session_id": "home", "reason": "reuse"}
    assert (session(domain).status, session(domain).reason) == ("ended", "reuse")
    assert open_sessions(domain) == ()
    # Whoever has the token that was good until now has to log in again as well.
    assert domain.refused(rotate("second", "third")).code == "invalid_grant"


def test_a_refresh_token_is_good_for_a_month_after_the_last_one() -> None:
    domain = Domain().given(add(), begin()).pass_seconds(MONTH - 1).given(rotate())
    domain.pass_seconds(MONTH - 1)
    domain.event(rotate("second", "third"), SessionRotated)
    event = domain.pass_seconds(MONTH).event(rotate("third", "fourth"), SessionEnded)
    assert event.reason == "expired"
    assert session(domain).ended_at == domain.now


@pytest.mark.parametrize("command", [rotate(session_id="away"), rotate()], ids=["none", "ended"])
def test_what_is_no_open_session_is_not_refreshed(command: Command) -> None:
    refused = Domain().given(add(), begin(), end()).refused(command)
    assert (type(refused), refused.code) == (Rejected, "invalid_grant")


def test_a_logout_ends_the_session_once() -> None:
    domain = Domain().given(add(), begin())
    assert domain.event(end(), SessionEnded).reason == "logout"
    assert domain.nothing(end()) == {}
    assert domain.nothing(end("away")) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (UpdateUser(user_id="ada", password_hash=OTHER), "password"),
        (disable(), "disabled"),
        (UpdateUser(user_id="ada", password_hash=OTHER, disabled=True), "disabled"),
    ],
    ids=["password", "disabled", "both"],
)
def test_another_password_or_a_disabled_user_ends_all_sessions(
    change: Command, reason: str
) -> None:
    domain = Domain().given(add(), add("bob"), begin(), begin("away"), begin("his", "bob"))
    event = domain.event(change, UserUpdated)
    assert event.ended == ("away", "home")
    assert [session(domain, one).reason for one in event.ended] == [reason, reason]
    assert (open_sessions(domain), open_sessions(domain, "bob")) == ((), ("his",))
    assert domain.refused(rotate()).code == "invalid_grant"


def test_other_roles_end_no_session() -> None:
    domain = Domain().given(add(), begin(), UpdateUser(user_id="ada", roles=("viewer",)))
    assert open_sessions(domain) == ("home",)


def test_after_another_password_one_logs_in_with_that() -> None:
    domain = Domain().given(add()).pass_seconds(1)
    domain.given(UpdateUser(user_id="ada", password_hash=OTHER))
    assert domain.refused(begin()).code == "invalid_grant"
    domain.event(begin(password_at=START + 1000), SessionBegun)


def test_a_user_has_so_many_sessions_and_the_next_ends_the_oldest() -> None:
    domain = Domain().given(add())
    for number in range(MOST_SESSIONS):
        domain.pass_seconds(1).given(begin(f"s{9 - number}"))
    event = domain.event(begin("one-more"), SessionBegun)
    assert event.ended == ("s9",)
    assert session(domain, "s9").reason == "replaced"
    assert len(open_sessions(domain)) == MOST_SESSIONS


def test_a_decision_looks_at_one_user_however_many_there_are() -> None:
    domain = Domain().given(add(), begin())
    few = domain.examined(disable()), domain.examined(rotate()), domain.examined(begin("b"))
    for number in range(50):
        domain.given(add(f"u{number}"), begin(f"s{number}", f"u{number}"))
    many = domain.examined(disable()), domain.examined(rotate()), domain.examined(begin("b"))
    assert many == few


def test_the_history_alone_gives_the_same_users_and_sessions() -> None:
    domain = Domain().given(add(), begin(), rotate(), begin("away"), end("away"), disable())
    assert snapshot(replay(domain.history)) == domain.snapshot()


def test_no_message_has_a_field_for_a_password() -> None:
    domain = Domain().given(add(), begin(), rotate(), disable())
    asked = [add(), disable(), begin(), rotate(), end()]
    assert not any("password" in message.__struct_fields__ for message in asked)
    assert not any(b'"password":' in envelope.body for envelope in domain.history)
