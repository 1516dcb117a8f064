"""Circuit breakers as the platform shows them: those of its process, and those of agents."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.app import Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, Unavailable
from agent_orchestration.core.messages import Principal
from agent_orchestration.pipeline import gateway
from agent_orchestration.resilience import CircuitBreakerConfig, CircuitBreakerRegistry


async def fail() -> None:
    raise Unavailable("down", "down")


async def test_breakers_of_the_process_and_of_agents_are_shown_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakers = CircuitBreakerRegistry()
    monkeypatch.setattr(gateway, "BREAKERS", breakers)
    breakers.breaker("fine")
    with pytest.raises(Unavailable):
        await breakers.breaker("broken", CircuitBreakerConfig(failures=1)).call(fail)
    platform = Platform(open_backends(Config(data=tmp_path)))
    try:
        await platform.start()
        for name in ("ann", "bob", "cat"):
            new: dict[str, Any] = {
                "id": name,
                "name": name.title(),
                "kind": "llm",
                "capabilities": [],
            }
            await platform.call("register_agent", new, Caller())
        for name, state in (("ann", "open"), ("cat", "half_open")):
            said = {"agent_id": name, "service": "m", "state": state}
            own = Caller(principal=Principal(name, "agent", name))
            await platform.call("report_circuit_breaker", said, own)
            with pytest.raises(Forbidden):
                await platform.call("report_circuit_breaker", {**said, "agent_id": "bob"}, own)
        viewer = Caller(principal=Principal("me", "viewer"))
        first = await platform.call("circuit_breaker_status", {"limit": 1}, viewer)
        rest = await platform.call(
            "circuit_breaker_status", {"cursor": first["next_cursor"]}, viewer
        )
    finally:
        await platform.stop()
    broken, fine = first["circuit_breakers"]
    assert (broken["name"], broken["state"], broken["failures"]) == ("broken", "open", 1)
    assert broken["since"] < broken["tries_again"]
    assert (fine["name"], fine["state"]) == ("fine", "closed")
    shown = [(one["id"], one["state"]) for one in (*first["agents"], *rest["agents"])]
    assert shown == [("ann", "open"), ("cat", "half_open")]
    assert "next_cursor" not in rest
