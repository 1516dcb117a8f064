"""The same commands lead to the same bytes, whatever process decides them."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.envelope import StoredRecord
from agent_orchestration.pipeline.deciding import Asked
from tests.properties.commands import Move
from tests.properties.decide_log import BEGIN_WITH, digest_of
from tests.properties.histories import KINDS, OPENING, History

ROOT = Path(__file__).parents[2]
MOVES = 120
RARE = sorted({*KINDS} - {"retire", "cancel", "cancel plan"})
"""What a random history has too little of."""
TEXTS = ("plain", "ıİI", "é" + "e\u0301", "ß", "\u2028😀", "Zz", "zZ")


def some_move(chance: random.Random) -> Move:
    return Move(
        kind=chance.choice(RARE if chance.randrange(3) else KINDS),
        task=chance.randrange(10),
        agent=chance.choice([0, 0, 0, 1, 1, 1, 2, 2, 3]),
        number=chance.randrange(30),
        seconds=chance.choice([0, 0, 0, 0, 0, 0, 1, 30, 61, 301, -7]),
        text=chance.choice(TEXTS),
    )


def stories() -> list[History]:
    """A history of each tenant, in which time passes and what is due comes due. Several short
    ones: agents retire for good."""
    chance, found = random.Random(0), list[History]()
    for tenant, rules in BEGIN_WITH.items():
        history = History(tenant)
        history.state.rules = rules
        found.append(history.play([*OPENING, *(some_move(chance) for _ in range(MOVES))]))
    return found


def as_read(asked: Asked) -> StoredRecord:
    """The command as the log gives it back."""
    made = asked.envelope.to_record()
    place = ("commands", 0, asked.position[1], asked.timestamp)
    return StoredRecord(*place, made.key, made.value, made.headers)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of all tenants, of every type, and leading to events of every type."""
    told = stories()
    records = [as_read(outcome.asked) for history in told for outcome in history.outcomes]
    events = {folded.envelope.type for history in told for folded in history.folded}
    assert {record.headers["ce_type"] for record in records} == REGISTRY.commands.keys()
    assert events == REGISTRY.events.keys()
    path = tmp_path_factory.mktemp("commands") / "log.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(records))
    return path


ENVIRONMENTS: dict[str, tuple[list[str], Mapping[str, str], list[str]]] = {
    "hash seed 0": ([], {"PYTHONHASHSEED": "0"}, []),
    "hash seed 1, far east": ([], {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati"}, []),
    "random hashes, west": ([], {"PYTHONHASHSEED": "random", "TZ": "America/St_Johns"}, []),
    "another random seed": ([], {"PYTHONHASHSEED": "random"}, []),
    "Turkish": ([], {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}, []),
    "no locale, no UTF-8": ([], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, []),
    "optimised": (["-O"], {"PYTHONHASHSEED": "2"}, []),
    "another order": ([], {"PYTHONHASHSEED": "3"}, ["--reversed"]),
}


@pytest.mark.process
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_process_decides_the_same(log: Path, name: str) -> None:
    options, variables, more = ENVIRONMENTS[name]
    plain = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
    done = subprocess.run(
        [sys.executable, *options, "-m", "tests.properties.decide_log", str(log), *more],
        cwd=ROOT,
        env={**plain, "PYTHONPATH": str(ROOT), **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == digest_of(log.read_bytes())
