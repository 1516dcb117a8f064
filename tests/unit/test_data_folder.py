"""One owner per data folder, and what is left behind by owners that are gone."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent_orchestration import __version__
from agent_orchestration.core.errors import Unavailable
from agent_orchestration.data_folder import DataFolder, new_token

OWN_AND_WAIT = """
import sys
from pathlib import Path
from agent_orchestration.data_folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
assert folder.try_own()
folder.announce("http://127.0.0.1:9", "left-behind")
print("owned", flush=True)
sys.stdin.read()
"""


def test_the_first_owns_and_the_second_does_not(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    assert first.try_own()
    assert first.try_own(), "asking again changes nothing"
    assert not second.try_own()
    first.release()
    assert second.try_own()
    second.release()


def test_the_owner_says_how_to_reach_it_until_it_releases(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    assert second.owner() is None
    first.try_own()
    assert second.owner() is None, "it does not listen yet"
    said = first.announce("http://127.0.0.1:1234", "secret-token")
    assert second.owner() == said
    assert (said.pid, said.version) == (os.getpid(), __version__)
    assert "secret-token" not in repr(said)
    first.release()
    assert second.owner() is None


@pytest.mark.skipif(os.name == "nt", reason="Windows protects the profile folder by its ACL")
def test_only_the_user_can_read_the_token_and_the_folder(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "new" / "data")
    folder.try_own()
    folder.announce("http://127.0.0.1:1234", new_token())
    assert stat.S_IMODE(folder.owner_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert sorted(file.name for file in folder.path.iterdir()) == ["owner.json", "owner.lock"]
    folder.release()


def test_what_a_killed_owner_left_is_recognised_and_removed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWN_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = DataFolder(tmp_path)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        assert not folder.try_own()
        owner.kill()
        owner.wait()
    assert folder.owner() is not None, "the file is still there"
    assert folder.try_own(), "but the lock is free"
    assert folder.owner() is None
    folder.release()


@pytest.mark.parametrize("content", [b"", b"\x00garbage", b"{}", json.dumps([1]).encode()])
def test_a_malformed_owner_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    folder = DataFolder(tmp_path)
    folder.owner_file.write_bytes(content)
    assert folder.owner() is None
    assert folder.try_own()
    folder.release()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="choose another with --data"):
        DataFolder(tmp_path / "file" / "data").try_own()


def test_tokens_are_long_and_differ() -> None:
    assert new_token() != new_token()
    assert len(new_token()) >= 43
