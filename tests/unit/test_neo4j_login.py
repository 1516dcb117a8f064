"""How often somebody whom the server refuses tries again."""

import pytest
from neo4j.exceptions import AuthError, Neo4jError

from agent_orchestration.backends.graph.neo4j import login
from agent_orchestration.backends.graph.neo4j.login import Login
from agent_orchestration.core.errors import Unavailable


class Refused(AuthError):
    """As the server says it."""

    @property
    def code(self) -> str:
        return "Neo.ClientError.Security.Unauthorized"


def is_let_try(one: Login) -> bool:
    try:
        one.begin()
    except Unavailable:
        return False
    return True


def test_pauses_grow_while_the_server_refuses() -> None:
    now = [100.0]
    one = Login(lambda: now[0])
    pauses: list[float] = []
    for _ in range(9):
        assert is_let_try(one)
        one.failed(Refused())
        began = now[0]
        while not is_let_try(one):
            now[0] += 0.5
        pauses.append(now[0] - began)
        now[0] += login.TRY_SECONDS  # nobody heard of that try
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_who_is_not_let_try_is_told_what_to_do() -> None:
    one = Login()
    one.failed(Refused())
    with pytest.raises(Unavailable, match="check NEO4J_USERNAME and NEO4J_PASSWORD"):
        one.begin()


def test_one_tries_while_the_others_wait_for_what_becomes_of_it() -> None:
    now = [100.0]
    one = Login(lambda: now[0])
    one.failed(Refused())
    one.failed(Refused())  # was under way together with the first
    now[0] += login.FIRST_PAUSE
    assert is_let_try(one)
    assert not is_let_try(one)
    one.worked()
    assert is_let_try(one)
    assert is_let_try(one)


def test_other_errors_stop_nobody() -> None:
    one = Login()
    one.failed(Neo4jError())
    assert is_let_try(one)
