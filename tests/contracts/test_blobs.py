"""What every blob store promises, and what the one in a folder does with its files."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from agent_orchestration.backends.blobs import BlobStore, FolderBlobs
from agent_orchestration.core.errors import Corrupt, NotFound, Unavailable

SMALL = b"\x00binary \xff and more"
LARGE = bytes(range(256)) * 8192


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_of(folder: Path, data: bytes) -> Path:
    return folder / digest_of(data)[:2] / digest_of(data)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture(params=["folder", "folder with fsync"])
def store(request: pytest.FixtureRequest, folder: Path) -> BlobStore:
    return FolderBlobs(folder, fsync="fsync" in request.param)


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
async def test_what_was_put_is_got_under_its_hash(store: BlobStore, data: bytes) -> None:
    digest = await store.put(data)
    assert digest == digest_of(data)
    assert await store.get(digest) == data


async def test_putting_the_same_bytes_again_changes_nothing(store: BlobStore, folder: Path) -> None:
    await store.put(SMALL)
    before = file_of(folder, SMALL).stat().st_mtime_ns
    assert await store.put(SMALL) == digest_of(SMALL)
    assert file_of(folder, SMALL).stat().st_mtime_ns == before


async def test_a_tenant_reads_only_what_it_put(store: BlobStore) -> None:
    digest = await store.of("acme").put(SMALL)
    assert await store.of("acme").get(digest) == SMALL
    for other in ("default", "globex", "Acme", "../acme", ".."):
        with pytest.raises(NotFound):
            await store.of(other).get(digest)
    assert await store.of("..").put(SMALL) == digest
    assert await store.of("..").get(digest) == SMALL
    with pytest.raises(NotFound):
        await store.get(digest)
    assert await store.of("default").put(LARGE) == await store.put(LARGE)


async def test_many_puts_at_once_leave_one_file_each(store: BlobStore, folder: Path) -> None:
    blobs = [LARGE, LARGE + b"1", LARGE, SMALL, SMALL] * 4
    digests = await asyncio.gather(*(store.put(data) for data in blobs))
    assert digests == [digest_of(data) for data in blobs]
    assert sorted(files(folder)) == sorted({file_of(folder, data) for data in blobs})


async def test_blobs_outlive_the_store(folder: Path) -> None:
    digest = await FolderBlobs(folder).put(SMALL)
    assert await FolderBlobs(folder).get(digest) == SMALL


@pytest.mark.parametrize(
    "digest",
    [
        digest_of(b"never put"),
        "",
        "ab",
        digest_of(SMALL).upper(),
        digest_of(SMALL) + "\n",
        f"../{digest_of(SMALL)[:61]}",
        "../../secret",
        "/etc/passwd",
        "\x00" * 64,
    ],
)
async def test_what_names_no_blob_is_not_found(store: BlobStore, folder: Path, digest: str) -> None:
    await store.put(SMALL)
    (folder.parent / "secret").write_bytes(b"secret")
    with pytest.raises(NotFound):
        await store.get(digest)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_damaged_blob_is_reported_and_mended_by_putting_it_again(
    store: BlobStore, folder: Path, data: bytes
) -> None:
    digest = await store.put(data)
    file_of(folder, data).write_bytes(b"!" + data[1:])
    with pytest.raises(Corrupt, match=digest):
        await store.get(digest)
    await store.put(data)
    assert await store.get(digest) == data


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file, not a folder")
    with pytest.raises(Unavailable, match="blobs"):
        await FolderBlobs(tmp_path / "blobs").put(SMALL)


async def test_a_failed_put_leaves_nothing_behind(store: BlobStore, folder: Path) -> None:
    in_the_way = file_of(folder, SMALL) / "in the way"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with pytest.raises(Unavailable):
        await store.put(SMALL)
    assert files(folder) == [in_the_way]
