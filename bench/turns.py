"""Lifecycles on Kafka and Neo4j beside something else, in turns, measured as a process."""

import argparse
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent_orchestration.cli.session import collect_rarely, run
from agent_orchestration.cli.text import print_json
from agent_orchestration.config import Config, load_config
from bench.lifecycles import CLIENTS
from bench.tenants import tenants

Turns = Callable[
    [Config, Sequence[str], int, int, tuple[int, int]],
    Coroutine[Any, Any, Sequence[msgspec.Struct]],
]
"""With these settings, tenants, clients and lifecycles in a turn: so many turns, after so many that
are not counted; (not counted, counted)."""


def print_turns(program: str, what: str | None, turns: Turns) -> None:
    """Read the command line, and print the turns as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=what)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--tenants", type=int, default=8)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=1, help="turns that are not counted")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    collect_rarely()
    config = load_config(given.config)
    names = tenants(given.tenants, config.kafka.num_partitions)
    times = given.warm, given.turns
    found = run(turns(config, names, given.clients, given.count, times), serving=True)
    print_json([msgspec.to_builtins(turn) for turn in found])
