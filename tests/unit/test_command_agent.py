"""What a command may say, which ones are allowed, and what is kept of their output."""

import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.config import child_environment
from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.allowed import AllowedPrograms, PlanGrants, any_of
from agent_orchestration.workers.command_payload import (
    CommandPayload,
    command_digest,
    parse_command,
)
from agent_orchestration.workers.output_tail import KEPT_BYTES, OutputTail
from agent_orchestration.workers.work_folder import (
    RESULT_BYTES,
    AttemptFolder,
    file_name,
    private_folder,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are POSIX's")
PATH = os.defpath


def tail_of(*parts: bytes) -> OutputTail:
    tail = OutputTail()
    for part in parts:
        tail.feed(part)
    return tail


def test_short_output_is_kept_as_it_is() -> None:
    assert tail_of(b"one\n", b"t", b"wo\n").text() == ("one\ntwo", False)
    assert tail_of().text() == ("", False)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m\x1b]0;title\x07 and \x1b(Bplain", "red and plain"),
        (b"10 %\r50 %\r100 %\ndone\r\n", "100 %\ndone"),
        (b"a\x00b\x08c\x7fd\te\xc2\x85f", "abcd\tef"),
        (b"caf\xe9 \xff\xfe", "caf\ufffd \ufffd\ufffd"),
        ("naïve \u2028 €".encode(), "naïve \u2028 €"),
        (b"\x1b]0;never ended", ""),
    ],
)
def test_what_cannot_be_shown_is_gone_or_replaced(printed: bytes, shown: str) -> None:
    assert tail_of(printed).text() == (shown, False)


def test_characters_that_come_in_pieces_are_put_together() -> None:
    text = "€" * 100
    assert tail_of(*(bytes([byte]) for byte in text.encode())).text() == (text, False)


def test_only_the_last_lines_are_shown() -> None:
    text, truncated = tail_of(*(f"{n}\n".encode() for n in range(1000))).text()
    assert text.splitlines() == [str(n) for n in range(800, 1000)]
    assert truncated


@pytest.mark.parametrize("line", ["x", "€", "\udcff"])
def test_one_long_line_is_cut_to_whole_characters(line: str) -> None:
    data = line.encode("utf-8", "surrogateescape") * 100_000
    text, truncated = tail_of(b"a", data).text()
    assert truncated
    assert set(text) == {line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")}
    assert 50_000 < len(text.encode()) <= 60 * 1024


def test_a_tail_stays_small_whatever_comes() -> None:
    tail, chunk = OutputTail(), b"x" * 65_536
    tracemalloc.start()
    for _ in range(2000):
        tail.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tail.total == 2000 * 65_536
    assert peak < 10 * KEPT_BYTES


def test_a_command_is_a_list_or_shell_text() -> None:
    listed = parse_command({"command": ["make", "all"], "timeout_seconds": 5})
    assert (listed.program, listed.arguments, listed.timeout_seconds) == ("make", ("all",), 5.0)
    text = parse_command({"command": "make && make install"})
    assert (text.program, text.arguments) == ("sh", ("-c", "make && make install"))


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (None, "Expected `object`"),
        ("make", "Expected `object`"),
        ({}, "missing required field `command`"),
        ({"command": 7}, "command"),
        ({"command": []}, "length >= 1"),
        ({"command": [""]}, "is empty"),
        ({"command": " \n"}, "is empty"),
        ({"command": ["a"], "timeout": 5}, "unknown field `timeout`"),
        ({"command": ["a"], "timeout_seconds": 0}, "timeout_seconds"),
        ({"command": ["a"], "timeout_seconds": -1}, "timeout_seconds"),
        ({"command": ["a"], "timeout_seconds": True}, "timeout_seconds"),
        ({"command": ["a", 7]}, "command"),
        ({"command": ["a", "b\0c"]}, "zero byte"),
        ({"command": ["a"], "env": {"A": "\0"}}, "zero byte"),
        ({"command": ["a"], "env": {"A B": "c"}}, "cannot be the name"),
        ({"command": ["a"], "env": {"": "c"}}, "cannot be the name"),
        ({"command": ["a"], "env": {"AO_RESULT": "c"}}, "set by the platform"),
    ],
)
def test_a_payload_that_is_no_command_is_refused_with_the_remedy(
    payload: Any, problem: str
) -> None:
    with pytest.raises(Rejected, match=r"^payload: ") as caught:
        parse_command(payload)
    assert problem in caught.value.reason


def test_a_digest_depends_on_the_task_and_on_every_part_of_the_command() -> None:
    first = {"command": ["a", "b"], "env": {"A": "1", "B": "2"}, "timeout_seconds": 5}
    same = {"timeout_seconds": 5.0, "env": {"B": "2", "A": "1"}, "command": ["a", "b"]}
    others = [
        {**first, "command": ["a", "c"]},
        {**first, "command": ["a b"]},
        {**first, "env": {"A": "1"}},
        {**first, "cwd": "x"},
        {**first, "stdin": ""},
        {**first, "timeout_seconds": 6},
        {"command": "a b"},
    ]
    digest = command_digest("t", parse_command(first))
    assert digest == command_digest("t", parse_command(same))
    assert digest != command_digest("u", parse_command(first))
    assert digest not in {command_digest("t", parse_command(one)) for one in others}


def test_a_named_program_is_allowed_with_any_arguments() -> None:
    allow = AllowedPrograms(["ls", "/bin/cat"], PATH)
    assert allow("t", CommandPayload(("ls", "-l", "/")))
    assert allow("t", CommandPayload(("/bin/cat",), cwd="inner"))
    assert allow("t", CommandPayload(("/bin/../bin/cat",)))


@pytest.mark.parametrize(
    "command",
    [
        CommandPayload("ls"),
        CommandPayload(("rm", "-rf", "x")),
        CommandPayload(("./ls",)),
        CommandPayload(("bin/ls",)),
        CommandPayload(("/tmp/ls",)),
        CommandPayload(("ls",), env={"LD_PRELOAD": "x.so"}),
        CommandPayload(("ls",), cwd="/"),
        CommandPayload(("sh", "-c", "ls")),
    ],
)
def test_nothing_else_is_allowed_by_a_name(command: CommandPayload) -> None:
    assert not AllowedPrograms(["ls"], PATH)("t", command)


def test_a_link_to_the_same_file_is_another_program(tmp_path: Path) -> None:
    """One file may be many programs, by the name it is called with."""
    box = tmp_path / "box"
    box.write_text("#!/bin/sh\n")
    box.chmod(0o755)
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(box)
    allow = AllowedPrograms(["one"], str(tmp_path))
    assert allow("t", CommandPayload(("one",)))
    assert not allow("t", CommandPayload(("two",)))
    assert not allow("t", CommandPayload((str(box), "two")))


@pytest.mark.parametrize("name", ["no-such-program", "/etc/passwd", "/", ""])
def test_a_program_that_does_not_exist_cannot_be_allowed(name: str) -> None:
    with pytest.raises(Rejected, match="--allow"):
        AllowedPrograms([name], PATH)


def test_a_plan_grants_its_commands_word_for_word_until_it_is_over(tmp_path: Path) -> None:
    payload = {"command": ["make", "all"], "cwd": "/src"}
    grants, other_process = PlanGrants(tmp_path / "grants"), PlanGrants(tmp_path / "grants")
    command = parse_command(payload)
    assert not other_process("p.make", command)
    grants.register("p", {"p.make": payload})
    grants.register("q", {})
    assert other_process("p.make", command)
    assert not other_process("p.other", command)
    assert not other_process("p.make", parse_command({**payload, "cwd": "/other"}))
    grants.register("p", {"p.test": payload})
    assert not other_process("p.make", command)
    assert other_process("p.test", command)
    grants.revoke("p")
    grants.revoke("p")
    assert not other_process("p.test", command)


def test_grants_are_for_their_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "grants"
    grants = PlanGrants(folder)
    grants.register("p", {"p.a": {"command": ["a"]}})
    [file] = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    with pytest.raises(Rejected, match="others can write"):
        PlanGrants(folder)("p.a", CommandPayload(("a",)))


def test_a_plan_with_something_else_than_commands_grants_nothing(tmp_path: Path) -> None:
    grants = PlanGrants(tmp_path)
    with pytest.raises(Rejected, match="payload"):
        grants.register("p", {"p.a": {"command": ["a"]}, "p.b": {"order": 7}})
    assert not grants("p.a", CommandPayload(("a",)))


def test_several_rules_allow_what_one_of_them_does() -> None:
    allow = any_of(AllowedPrograms(["ls"], PATH), AllowedPrograms(["cat"], PATH))
    assert allow("t", CommandPayload(("ls",)))
    assert allow("t", CommandPayload(("cat",)))
    assert not allow("t", CommandPayload(("rm",)))


def test_a_work_root_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Rejected, match="cannot be written to") as caught:
        private_folder(tmp_path / "file" / "root")
    assert caught.value.details["field"] == "work_root"


def test_file_names_are_safe_and_never_shared() -> None:
    names = [file_name(one) for one in ("a:b", "a_b", "A:b", "a.b", "x" * 128, "x" * 127)]
    assert len({name.lower() for name in names}) == len(names)
    assert all(len(name) < 100 and ":" not in name and "/" not in name for name in names)


def test_an_attempt_begins_with_an_empty_folder_and_leaves_only_what_was_made(
    tmp_path: Path,
) -> None:
    folder = AttemptFolder(tmp_path, "t", 1)
    folder.make()
    folder.result.write_text("{}")
    folder.make()
    assert folder.read_result() is None
    folder.tidy()
    assert list(tmp_path.iterdir()) == []
    folder.make()
    (folder.work / "report.txt").touch()
    folder.dependencies.touch()
    folder.tidy()
    assert [one.name for one in folder.path.rglob("*") if one.is_file()] == ["report.txt"]


@pytest.mark.parametrize(
    ("content", "value"), [(b'{"rows": 3}', {"rows": 3}), (b" \n", None), (b"null", None)]
)
def test_a_result_is_json(tmp_path: Path, content: bytes, value: Any) -> None:
    folder = AttemptFolder(tmp_path, "t", 1)
    folder.make()
    folder.result.write_bytes(content)
    assert folder.read_result() == value


@pytest.mark.parametrize(
    "content", [b"{", b"NaN", b"\xff", b"[" * 100_000, b'"%s"' % (b"x" * RESULT_BYTES)]
)
def test_a_result_that_cannot_be_reported_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = AttemptFolder(tmp_path, "t", 1)
    folder.make()
    folder.result.write_bytes(content)
    with pytest.raises(Rejected, match="AO_RESULT"):
        folder.read_result()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_a_result_that_is_no_file_does_not_hold_anybody_up(tmp_path: Path, kind: str) -> None:
    folder = AttemptFolder(tmp_path, "t", 1)
    folder.make()
    if kind == "folder":
        folder.result.mkdir()
    elif kind == "link":
        folder.result.symlink_to("/etc/passwd")
    else:
        os.mkfifo(folder.result)
    with pytest.raises(Rejected, match="AO_RESULT"):
        folder.read_result()
    folder.tidy()


def test_commands_inherit_a_few_harmless_variables() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HOME": "/h",
        "OPENAI_API_KEY": "secret",
        "NEO4J_PASSWORD": "secret",
        "LC_secret": "secret",
        "PATH_TOKEN": "secret",
    }
    assert child_environment(environ) == {"PATH": "/bin", "LC_ALL": "C", "HOME": "/h"}
