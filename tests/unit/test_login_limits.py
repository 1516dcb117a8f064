"""How often somebody may try to log in."""

import pytest

from agent_orchestration.server.login_limits import SECONDS, LoginLimits

ADA = ("user ada", 3)
HOME = ("address home", 5)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_after_so_many_attempts_one_has_to_wait(clock: Clock) -> None:
    limits = LoginLimits(clock)
    for _ in range(3):
        assert limits.attempt([ADA, HOME]) == 0
        clock.now += 1
    assert limits.attempt([ADA, HOME]) == SECONDS - 3
    assert limits.attempt([("user bob", 3), HOME]) == 0


def test_an_address_has_a_limit_whoever_tries(clock: Clock) -> None:
    limits = LoginLimits(clock)
    for number in range(5):
        assert limits.attempt([(f"user {number}", 3), HOME]) == 0
    assert limits.attempt([("user 5", 3), HOME]) == SECONDS
    assert limits.attempt([("user 5", 3), ("address away", 5)]) == 0


def test_what_failed_is_forgotten_after_a_while(clock: Clock) -> None:
    limits = LoginLimits(clock)
    for _ in range(3):
        limits.attempt([ADA])
    clock.now += SECONDS - 0.5
    assert limits.attempt([ADA]) == 0.5
    clock.now += 0.5
    assert limits.attempt([ADA]) == 0


def test_who_succeeds_is_not_counted_and_makes_up_for_nothing(clock: Clock) -> None:
    limits = LoginLimits(clock)
    limits.attempt([ADA])
    limits.attempt([ADA])
    for _ in range(10):
        assert limits.attempt([ADA]) == 0
        limits.succeeded([ADA])
    assert limits.attempt([ADA]) == 0
    assert limits.attempt([ADA]) > 0


def test_only_so_many_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_orchestration.server.login_limits.MOST_REMEMBERED", 10)
    limits = LoginLimits(clock)
    for number in range(11):
        assert limits.attempt([(f"user {number}", 1)]) == 0
    assert limits.attempt([("user 0", 1)]) == 0
    assert limits.attempt([("user 10", 1)]) > 0
