"""What goes wrong, how often, and how often it did."""

import random
from collections import Counter
from collections.abc import Mapping

#: Every kind of fault, with its highest probability per occasion.
APPEND = {
    "append_refused": 0.02,
    "append_lost": 0.03,
    "append_unacknowledged": 0.03,
    "append_late": 0.02,
    "append_acknowledged_late": 0.01,
    "append_twice": 0.03,
    "crash_before_append": 0.006,
    "crash_after_append": 0.006,
}
WRITE = {
    "write_refused": 0.02,
    "write_unacknowledged": 0.02,
    "write_slow": 0.02,
    "crash_before_write": 0.006,
    "crash_after_write": 0.006,
}
COMMIT = {
    "commit_lost": 0.03,
    "crash_before_commit": 0.006,
    "crash_after_commit": 0.006,
}
READ = {"read_refused": 0.003}
#: What happens from outside: how many seconds lie between two of them on average, at most often.
EVENTS = {
    "kill": 25.0,
    "pause": 20.0,
    "restart": 40.0,
    "slow": 20.0,
    "clock_skew": 40.0,
    "log_clock_jump": 150.0,
    "log_outage": 60.0,
    "graph_outage": 60.0,
    "worker_kill": 40.0,
    "worker_pause": 40.0,
}
KINDS = (*APPEND, *WRITE, *COMMIT, *READ, *EVENTS)
#: What the protocol did about it: counted to show that the faults reached it.
SEEN = ("zombie_append", "checkpoint_moved", "folded_twice", "takeover", "lease_expired", "fenced")


class Faults:
    """Draws faults. Each seed has its own mix: some kinds often, some rarely, some not at all.
    `more` says how often, beside the usual, for some."""

    def __init__(self, draw: random.Random, more: Mapping[str, float]) -> None:
        self.draw = draw
        self.seen: Counter[str] = Counter()
        self.on = True
        self._share = {kind: draw.choice((0.0, 0.3, 1.0, 1.0, 3.0)) for kind in KINDS}
        self._share.update(more)

    def one_of(self, kinds: dict[str, float]) -> str:
        """Which of these kinds happens now; "" for none."""
        if not self.on:
            return ""
        number = self.draw.random()
        for kind, probability in kinds.items():
            number -= probability * self._share[kind]
            if number < 0:
                self.seen[kind] += 1
                return kind
        return ""

    def next_in(self, kind: str) -> float | None:
        """Seconds until a fault from outside happens again; None where it does not."""
        share = self._share[kind]
        return self.draw.expovariate(share / EVENTS[kind]) if share else None
