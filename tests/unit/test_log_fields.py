"""What lines of the log carry beside what they say, and what they never show."""

import asyncio
import io
import json
import logging

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.messages import Principal
from agent_orchestration.logs import REDACTED, LogFields, caller_fields, configure_logging
from tests.log_lines import log_lines

logger = logging.getLogger("agent_orchestration.part")
others = logging.getLogger("another.library")


def test_lines_carry_what_was_said_around_them_and_no_longer() -> None:
    with log_lines() as lines:
        with LogFields(correlation="c", tenant="acme", agent_id=None):
            with LogFields(task_id="t", tenant="umbrella"):
                logger.info("inner")
                others.warning("somebody else's")
            logger.info("outer")
        logger.info("after")
    inner, other, outer, after = lines.all()
    assert inner.items() >= {"correlation": "c", "tenant": "umbrella", "task_id": "t"}.items()
    assert (other["correlation"], other["task_id"]) == ("c", "t")
    assert outer["tenant"] == "acme"
    assert "task_id" not in outer
    assert "agent_id" not in outer
    assert "correlation" not in after


def test_what_a_line_says_by_itself_stands() -> None:
    with log_lines() as lines, LogFields(agent_id="ann"):
        logger.info("x", extra={"agent_id": "bob"})
    assert [line["agent_id"] for line in lines.all()] == ["bob"]


async def test_tasks_that_begin_meanwhile_carry_it_and_others_do_not() -> None:
    said = asyncio.Event()

    async def speak(text: str) -> None:
        await said.wait()
        logger.info(text)

    with log_lines() as lines:
        before = asyncio.create_task(speak("before"))
        with LogFields(correlation="c"):
            meanwhile = asyncio.create_task(speak("meanwhile"))
        said.set()
        await asyncio.gather(before, meanwhile)
    assert [line["message"] for line in lines.all(correlation="c")] == ["meanwhile"]
    assert len(lines.all()) == 2


def test_a_call_is_known_by_who_calls() -> None:
    caller = Caller(principal=Principal("ada", "agent", "agent-1"), correlation="c", tenant="acme")
    with log_lines() as lines, caller_fields(caller, "r-1"):
        logger.info("x")
    [line] = lines.all()
    assert (line["correlation"], line["tenant"]) == ("c", "acme")
    assert (line["agent_id"], line["request_id"]) == ("agent-1", "r-1")
    assert "ada" not in lines.text


def test_secrets_of_the_settings_are_hidden_wherever_they_are_quoted() -> None:
    secret = 'se"cr\N{LATIN SMALL LETTER E WITH ACUTE}t'
    with log_lines(secrets=[secret, f"{secret}-longer", "abc", "12345"]) as lines:
        try:
            raise ValueError(f"cannot log in with {secret}-longer")
        except ValueError:
            logger.exception("failed with %s", secret, extra={"detail": [secret], "port": 12345})
    [line] = lines.all()
    assert secret not in json.dumps(line, ensure_ascii=False).replace('\\"', '"')
    assert line["message"] == f"failed with {REDACTED}"
    assert line["exception"].endswith(f"cannot log in with {REDACTED}")
    assert line["detail"] == f"['{REDACTED}']"
    assert line["port"] == 12345


def test_a_person_at_a_terminal_is_not_shown_secrets_either() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with log_lines():
        configure_logging("INFO", stream, ["swordfish", "abc"])
        logger.info("the password is %s, not %s", "swordfish", "abc")
    assert stream.getvalue().endswith(f"the password is {REDACTED}, not abc\n")


def test_libraries_say_only_what_is_wrong_and_say_it_once() -> None:
    names = ("aiokafka.consumer.group_coordinator", "faust.app", "mode.services", "neo4j.pool")
    with log_lines("DEBUG") as lines:
        for name in names:
            logging.getLogger(name).info("what it does")
            logging.getLogger(name).warning("what is wrong")
    assert [line["logger"] for line in lines.all()] == list(names)
    assert {line["message"] for line in lines.all()} == {"what is wrong"}
