"""Logging: one JSON object per line with fixed fields, and no line twice."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from agent_orchestration.logs import LOGGER, REPEATED_SECONDS, Repeated, configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    known = [logging.getLogger(name) for name in (LOGGER, None)]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in known]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_a_line_is_json_with_the_promised_fields() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)
    logger = logging.getLogger(f"{LOGGER}.part")
    logger.info("said %s", "this", extra={"request_id": "r-1", "agent_id": "ada"})
    logger.debug("not said")
    said = json.loads(stream.getvalue())
    assert said.keys() == {
        "timestamp",
        "level",
        "logger",
        "message",
        "module",
        "function",
        "line",
        "request_id",
        "agent_id",
    }
    assert (said["level"], said["message"], said["module"]) == ("INFO", "said this", "test_logs")
    assert (said["request_id"], said["agent_id"]) == ("r-1", "ada")


def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)
    try:
        raise ValueError("the cause")
    except ValueError:
        logging.getLogger(LOGGER).exception("failed")
    assert "ValueError: the cause" in json.loads(stream.getvalue())["exception"]


def test_configuring_twice_does_not_double_lines() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("INFO", first)
    configure_logging("DEBUG", second)
    logging.getLogger(LOGGER).debug("once")
    logging.getLogger("another.library").warning("once too")
    logging.getLogger("another.library").info("not said")
    assert first.getvalue() == ""
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == [
        "once",
        "once too",
    ]


def test_a_person_at_a_terminal_reads_plain_lines() -> None:
    stream = Terminal()
    configure_logging("INFO", stream)
    logging.getLogger(LOGGER).warning("mind the gap")
    assert stream.getvalue().endswith(" WARNING mind the gap\n")
    assert "{" not in stream.getvalue()


def complaint(level: int, text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("part", level, "part.py", 1, text, values, None)


def test_a_complaint_that_repeats_is_said_now_and_then_with_how_often() -> None:
    now = [0.0]
    repeated = Repeated(lambda: now[0])
    said: list[str] = []
    for _ in range(100):
        for partition in (1, 2):
            one = complaint(logging.WARNING, "partition %d waits %.1f s", partition, now[0])
            if (shown := repeated.shown(one)) is not None:
                said.append(shown.getMessage())
                assert one.getMessage() == f"partition {partition} waits {now[0]:.1f} s"
        now[0] += 1
    times = round(REPEATED_SECONDS) - 1
    assert said[:2] == ["partition 1 waits 0.0 s", "partition 2 waits 0.0 s"]
    assert said[2] == f"partition 1 waits {REPEATED_SECONDS:.1f} s ({times} times before)"
    assert len(said) == 2 * 4


def test_what_is_no_complaint_or_stops_work_is_always_said() -> None:
    repeated = Repeated(lambda: 0.0)
    for level in (logging.INFO, logging.CRITICAL):
        assert all(repeated.shown(complaint(level, "x")) for _ in range(10))


def test_an_outage_is_one_line() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)
    for _ in range(50):
        logging.getLogger(f"{LOGGER}.part").warning("away: %s", "no answer")
    assert len(stream.getvalue().splitlines()) == 1
