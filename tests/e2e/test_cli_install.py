"""Claude Desktop: the entry in its settings, and the bundle."""

import json
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.cli import main
from agent_orchestration.cli.bundle import check_bundle, write_bundle
from agent_orchestration.core.errors import Rejected
from tests.e2e.program import environment, run

pytestmark = pytest.mark.process


def test_install_adds_an_entry_once_and_keeps_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Claude" / "claude_desktop_config.json"
    words = ["install", "claude-desktop", "--path", str(file), "--data", str(tmp_path / "d")]
    assert main(words) == 0
    entry = json.loads(file.read_text())["mcpServers"]["agent-orchestration"]
    assert entry["args"][-2:] == ["--data", str(tmp_path / "d")]
    other = {"theme": "dark", "mcpServers": {"other": {"command": "x"}}}
    file.write_text("\ufeff" + json.dumps(other), "utf-8")
    assert main(words) == 0
    assert json.loads(file.read_text("utf-8")) == {
        "theme": "dark",
        "mcpServers": {"other": {"command": "x"}, "agent-orchestration": entry},
    }
    (backup,) = file.parent.glob("*.bak")
    assert json.loads(backup.read_text("utf-8-sig")) == other
    capsys.readouterr()
    assert main(words) == 0
    assert "up to date" in capsys.readouterr().out
    assert len(list(file.parent.iterdir())) == 2
    assert main([*words, "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["mcpServers"]["agent-orchestration"] == entry


@pytest.mark.parametrize("content", ["{", "[]", '{"mcpServers": []}', "\x00"])
def test_install_leaves_settings_it_cannot_read_alone(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "claude_desktop_config.json"
    file.write_text(content)
    assert main(["install", "claude-desktop", "--path", str(file)]) == 3
    assert file.read_text() == content
    assert [found.name for found in tmp_path.iterdir()] == [file.name]
    assert "correct it" in capsys.readouterr().err


def test_what_is_installed_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "claude-desktop", "--print", "--data", str(tmp_path / "data")])
    entry = json.loads(capsys.readouterr().out)["mcpServers"]["agent-orchestration"]
    ended = subprocess.run(
        [entry["command"], *entry["args"]],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"")


def installed() -> bool:
    try:
        metadata.version("agent-orchestration")
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not installed(), reason="a bundle is made from an installed package")
def test_a_bundle_holds_the_package_and_serves(tmp_path: Path) -> None:
    target = tmp_path / "bundle" / "platform.mcpb"
    assert run(tmp_path, "install", "claude-desktop", "--bundle", str(target)).returncode == 0
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(target) as archive:
        archive.extractall(unpacked)
    project = tomllib.loads((unpacked / "pyproject.toml").read_text("utf-8"))["project"]
    assert any(line.startswith("fastmcp") for line in project["dependencies"])
    said = json.loads((unpacked / "manifest.json").read_text("utf-8"))
    assert (said["manifest_version"], said["server"]["type"]) == ("0.4", "uv")
    assert (unpacked / "agent_orchestration" / "domain" / "tasks" / "queries.cypher").exists()
    served = subprocess.run(
        [sys.executable, said["server"]["entry_point"]],
        cwd=unpacked,
        env=environment(tmp_path) | {"PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (served.returncode, served.stdout) == (0, b"")
    again = tmp_path / "again.mcpb"
    write_bundle(again)
    assert again.read_bytes() == target.read_bytes(), "the same version makes the same bundle"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"manifest_version": "0.3"}, "manifest_version"),
        ({"version": "one"}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"server": {"type": "uv", "entry_point": "absent.py"}}, "absent.py is missing"),
        ({"author": {}}, "author.name"),
    ],
)
def test_a_bundle_that_breaks_a_rule_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    sound = {
        "manifest_version": "0.4",
        "name": "x",
        "version": "1.0.0",
        "description": "x",
        "author": {"name": "x"},
        "server": {"type": "uv", "entry_point": "server.py"},
    }
    for content, problem in ((sound, None), (sound | change, says)):
        with zipfile.ZipFile(tmp_path / "x.mcpb", "w") as archive:
            archive.writestr("manifest.json", json.dumps(content))
            archive.writestr("pyproject.toml", "")
            archive.writestr("server.py", "")
        if problem is None:
            check_bundle(tmp_path / "x.mcpb")
        else:
            with pytest.raises(Rejected, match=problem):
                check_bundle(tmp_path / "x.mcpb")


def test_a_bundle_has_its_proper_name(tmp_path: Path) -> None:
    done = run(tmp_path, "install", "claude-desktop", "--bundle", "x.zip")
    assert done.returncode == 3
    assert "must end in .mcpb" in done.stderr
