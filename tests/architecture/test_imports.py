"""The direction of imports, as pyproject.toml declares it."""

import logging.config

import pytest
from importlinter.cli import lint_imports

from tests.architecture.source import ROOT


def test_imports_keep_to_the_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    # The linter's own logging set-up would silence every logger of the tests that follow.
    monkeypatch.setattr(logging.config, "dictConfig", dict)
    answer = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert answer == 0
