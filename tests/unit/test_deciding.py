"""A mistake in a rule costs the command that met it, and nobody else's work."""

from pathlib import Path

import pytest

from agent_orchestration.app import REGISTRY, Platform, open_backends
from agent_orchestration.config import Config
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Rejected
from agent_orchestration.domain.capabilities.commands import DefineCapability

CALLER = Caller()


def mistaken(*_: object) -> None:
    raise ZeroDivisionError("a mistake")


async def test_a_command_that_cannot_be_decided_is_refused_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform(open_backends(Config(data=tmp_path)))
    await platform.start()
    monkeypatch.setitem(REGISTRY.decide, DefineCapability, mistaken)
    with pytest.raises(Rejected, match="mistake in the platform") as caught:
        await platform.call("define_capability", {"name": "python"}, CALLER)
    assert caught.value.code == "internal_error"
    assert "ZeroDivisionError" in caplog.text
    assert (await platform.call("create_task", {"title": "Next"}, CALLER))["seq"] == 1
    assert (await platform.status())["ready"]
    await platform.stop()
