"""Whether there is a Temporal server to stand beside, and what it does."""

import importlib.util
import json
import socket

from bench.processes import ROOT, answer

ADDRESS = ("127.0.0.1", 7233)


def temporal(clients: int, count: int) -> dict[str, float] | str:
    """`{"rate", "p50"}` of workflows with one activity, a second and milliseconds; else why it
    cannot be measured."""
    try:
        socket.create_connection(ADDRESS, timeout=1).close()
    except OSError:
        return f"no Temporal server on {ADDRESS[0]}:{ADDRESS[1]}"
    if importlib.util.find_spec("temporalio") is None:
        return "a Temporal server is there, but not the package temporalio"
    words = ("--clients", str(clients), "--count", str(count))
    return json.loads(answer(ROOT, "-m", "bench.temporal_peer", *words))
