"""Files in a folder, and in a store that fsspec knows."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from agent_orchestration.backends.store import Store
from agent_orchestration.core.errors import NotFound, Rejected, Unavailable


def files(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    yield Store(str(tmp_path / "new" / "folder") if request.param == "folder" else "memory://x/y")
    fsspec.filesystem("memory").store.clear()  # pyright: ignore[reportUnknownMemberType]


async def test_files_come_back_as_they_were(store: Store) -> None:
    assert await store.names() == []
    await store.put("a/1", b"one")
    await store.put("a/b/2", b"\x00\xff")
    await store.put("c", b"")
    assert await store.names() == ["a/1", "a/b/2", "c"]
    assert await store.names("a") == ["a/1", "a/b/2"]
    assert await store.names("nowhere") == []
    assert [await store.get(name) for name in ("a/1", "a/b/2", "c")] == [b"one", b"\x00\xff", b""]


async def test_a_file_is_replaced_and_removed(store: Store) -> None:
    for content in (b"one", b"two"):
        await store.put("a/1", content)
        assert await store.get("a/1") == content
    for _ in range(2):
        await store.remove("a/1")
        assert await store.names() == []
    with pytest.raises(NotFound, match="a/1"):
        await store.get("a/1")


async def test_what_was_not_written_to_its_end_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    store = Store(str(tmp_path))
    with pytest.raises(Unavailable, match="No space left"):
        await store.put("a", b"one")
    assert await store.names() == []
    assert not files(tmp_path)


async def test_a_place_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="nonsense://x"):
        await Store("nonsense://x").names()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="check it"):
        await Store(str(tmp_path / "file")).put("a", b"one")
