"""Mistakes that the simulation must find: one for each rule of the pipeline, as a change of its
source."""

import contextlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Generator
from typing import Any
from unittest.mock import patch

import msgspec

PIPELINE = "agent_orchestration.pipeline."
PROCESSOR = PIPELINE + "command_processor:CommandProcessor."
PUBLISHER = PIPELINE + "feeds:Publisher."
TIMER = PIPELINE + "timer:Timer."


class Bug(msgspec.Struct, frozen=True):
    """In `target` ("module:function" or "module:Class.method") `old` is replaced by `new`.

    `faults` are those that it takes, and how often beside the usual. `seed` is one that found it
    where that took many: it is tried first.
    """

    name: str
    target: str
    old: str
    new: str
    faults: dict[str, float] = {}
    seed: int = 0

    @contextlib.contextmanager
    def planted(self) -> Generator[None]:
        """The mistake is there. Fails where the source is not what it was."""
        module_name, _, path = self.target.partition(":")
        module = importlib.import_module(module_name)
        owner: Any = module
        *holders, name = path.split(".")
        for holder in holders:
            owner = getattr(owner, holder)
        function: Any = getattr(owner, name)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.old) == 1, f"{self.target} has no single {self.old!r} any more"
        found: dict[str, Any] = {}
        # Annotations may name what is imported for type checkers only.
        code = compile(
            source.replace(self.old, self.new), f"<{self.name}>", "exec", dont_inherit=True
        )
        exec(code, vars(module), found)
        with contextlib.ExitStack() as stack:
            stack.enter_context(patch.object(owner, name, found[name]))
            if not holders:
                for other in list(sys.modules.values()):
                    given = vars(other).get(name)
                    if given is not None and getattr(given, "__module__", "") == module_name:
                        stack.enter_context(patch.object(other, name, found[name]))
            yield


BUGS = (
    Bug(
        "a new owner does not wait for the graph",
        PIPELINE + "projector:Projector.passed",
        "while self.position[1] < offset:",
        "while False:",
    ),
    Bug(
        "a position is committed before its commands are decided",
        PROCESSOR + "_run",
        "await self._decide(records)",
        "await self._log.commit(GROUP, COMMANDS, self._partition, records[-1].offset + 1)\n"
        "            await self._decide(records)",
    ),
    Bug(
        "an append in doubt is taken for none",
        PROCESSOR + "_run",
        "in_doubt = True\n            await self._take_over()",
        "in_doubt = True",
    ),
    Bug(
        "entities are evicted before the graph has them",
        PROCESSOR + "_evict",
        "finished[key := next(iter(finished))] <= applied",
        "(key := next(iter(finished)))",
        seed=25,
    ),
    Bug(
        "what another owner wrote is mixed with what was here",
        PROCESSOR + "_load_tenant_needs",
        "if await graph_seq(self._graph, tenant) <= state.seq:",
        "if True:",
    ),
    Bug(
        "a state is loaded while another one writes",
        PIPELINE + "loading:load_tenant",
        "if await graph_seq(graph, tenant) == state.seq:",
        "if True:",
        {"pause": 10, "kill": 3, "slow": 12, "write_slow": 6, "append_refused": 0, "restart": 4},
        seed=324,
    ),
    Bug(
        "the checkpoint is not compared",
        "agent_orchestration.backends.graph.kglite:KgliteGraph.write",
        "if stored != write.held:",
        "if False:",
    ),
    Bug(
        "an event that comes again is folded again",
        PIPELINE + "projector:Projector._fold_one",
        "if envelope.seq <= state.seq:",
        "if envelope.seq < state.seq:",
    ),
    Bug(
        "a tenant is forgotten while its events are on their way",
        PIPELINE + "projector:Projector._forget_tenants",
        "if tenant not in keep",
        "if True",
        {"write_slow": 20, "kill": 4},
        seed=51,
    ),
    Bug(
        "the ids of commands are forgotten",
        "agent_orchestration.core.state:TenantState.recall",
        "return receipt if",
        "return None if",
    ),
    Bug(
        "a command decided before is decided again",
        PIPELINE + "deciding:Decider.decide",
        "if asked.position <= state.position:",
        "if False:",
    ),
    Bug(
        "time runs back with the log's clock",
        PIPELINE + "deciding:Decider.decide",
        "at = max(state.at, asked.timestamp)",
        "at = asked.timestamp",
    ),
    Bug(
        "a decision sees what is in memory",
        PIPELINE + "deciding:Decider.decide",
        "envelope.tenant, at, envelope.principal",
        "envelope.tenant, at + state.examined % 2, envelope.principal",
    ),
    Bug(
        "an attempt that is over is listened to",
        "agent_orchestration.domain.tasks.guards:same_attempt",
        "== (command.agent_id, command.attempt)",
        "== (command.agent_id, held.attempt)",
    ),
    Bug(
        "a lease gets no time again after a pause",
        TIMER + "_forgiven",
        "blind > full / 3",
        "False",
        {"pause": 20, "kill": 0.3, "worker_kill": 0, "worker_pause": 0, "log_outage": 4},
        seed=57,
    ),
    Bug("heartbeats renew nothing", TIMER + "_until", "max(time, renewed, ", "max(time, "),
    Bug(
        "the timer goes by its own clock",
        TIMER + "_hear",
        "self._ahead = abs(ahead - self._ahead), ahead",
        "_ = abs(ahead - self._ahead), ahead",
    ),
    Bug(
        "the timer forgets what it was told",
        TIMER + "settled",
        "self._tenants[state.tenant] = due",
        "pass",
    ),
    Bug(
        "the feeds' position is stored before their records are appended",
        PUBLISHER + "_publish",
        "async with asyncio.TaskGroup() as group:",
        "self._projector.published = (self._log.epoch, records[-1].offset + 1)\n"
        "    async with asyncio.TaskGroup() as group:",
        {"append_refused": 10, "append_lost": 6, "kill": 6},
    ),
    Bug(
        "an append to a feed in doubt is taken for done",
        PUBLISHER + "_append",
        "await self._patiently(lambda: self._log.append(*place, records))",
        "try:\n        await self._log.append(*place, records)\n"
        "    except PlatformError:\n        pass",
    ),
)
