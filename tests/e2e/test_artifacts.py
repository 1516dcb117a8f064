"""Artifacts over plain HTTP: kept, fetched as files, and refused."""

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent_orchestration.core.types import REQUEST_LIMIT
from tests.e2e.server_process import checked_log, post, running

pytestmark = pytest.mark.process
HELD = {"task_id": "t", "agent_id": "ann", "attempt": 1}
ROUTE = "/api/v1/tasks/t/artifacts"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def web(folder: Path) -> Generator[httpx2.Client]:
    """A server on which Ann holds a task."""
    with running(folder) as server, server.http() as web:
        calls: tuple[tuple[str, dict[str, Any]], ...] = (
            ("register_agent", {"id": "ann", "name": "A", "kind": "human", "capabilities": []}),
            ("create_task", {"id": "t", "title": "T", "lease_seconds": 3600}),
            ("claim_task", {"agent_id": "ann"}),
        )
        for tool, arguments in calls:
            assert post(web, tool, arguments)[0] == 200
        yield web


def add(web: httpx2.Client, **given: Any) -> tuple[int, dict[str, Any]]:
    return post(web, "add_artifact", HELD | given)


def test_a_browser_is_given_a_file_and_nothing_to_run(web: httpx2.Client) -> None:
    page = "<script>alert(1)</script>"
    status, answer = add(web, name="site/ä.html", content=page, media_type="text/html")
    assert status == 200
    artifact = answer["result"]["artifact"]
    response = web.get(f"{ROUTE}/site/ä.html")
    assert (response.status_code, response.text) == (200, page)
    headers = response.headers
    assert headers["content-disposition"] == "attachment; filename*=utf-8''%C3%A4.html"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"].startswith("text/html")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["etag"] == f'"{artifact["sha256"]}"'
    assert web.get(f"{ROUTE}/site/ä.html", params={"attempt": 1}).text == page


def test_ten_megabytes_are_kept_and_no_more(web: httpx2.Client, folder: Path) -> None:
    text = "x" * (REQUEST_LIMIT - 1000)
    status, answer = add(web, name="large.txt", content=text)
    assert status == 200
    assert answer["result"]["artifact"]["size"] == len(text)
    content = web.get(f"{ROUTE}/large.txt").content
    assert hashlib.sha256(content).hexdigest() == answer["result"]["artifact"]["sha256"]
    status, answer = add(web, name="larger.txt", content="x" * (REQUEST_LIMIT + 1))
    assert (status, answer["code"]) == (422, "invalid_argument")
    assert answer["reason"].startswith("content: has")
    checked_log(folder)


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"encoding": "base64", "content": "?"}, "invalid_argument", "content"),
        ({"encoding": "base64", "content": "YQ"}, "invalid_argument", "content"),
        ({"encoding": "base64", "content": "ä"}, "invalid_argument", "content"),
        ({"attempt": 2}, "fenced", "attempt"),
        ({"name": "a/../b"}, "invalid_argument", "name"),
        ({"media_type": "html"}, "invalid_argument", "media_type"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    web: httpx2.Client, given: dict[str, Any], code: str, field: str
) -> None:
    status, answer = add(web, **({"name": "n", "content": "a"} | given))
    assert (status, answer["code"], answer["field"]) == (422, code, field)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{ROUTE}/absent.txt", 404, "unknown_artifact"),
        ("/api/v1/tasks/absent/artifacts/a.txt", 404, "unknown_artifact"),
        (f"{ROUTE}/%2e%2e/secret", 422, "invalid_argument"),
        (f"{ROUTE}/a.txt?attempt=x", 422, "invalid_argument"),
        (f"{ROUTE}/a.txt?token=x", 422, "invalid_argument"),
    ],
)
def test_what_is_not_there_is_not_found(
    web: httpx2.Client, path: str, status: int, code: str
) -> None:
    response = web.get(path)
    assert (response.status_code, response.json()["code"]) == (status, code)
