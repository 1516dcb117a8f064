"""The direction of imports, as pyproject.toml declares it."""

from importlinter.cli import lint_imports

from tests.architecture.source import ROOT


def test_imports_keep_to_the_contracts() -> None:
    answer = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert answer == 0
