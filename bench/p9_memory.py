"""P9: the memory of live tasks in a processor, and what finished ones leave there."""

import gc
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent_orchestration.app import REGISTRY
from agent_orchestration.core.entities import Entity
from agent_orchestration.core.envelope import (
    CommandEnvelope,
    EventEnvelope,
    Record,
    StoredRecord,
)
from agent_orchestration.core.folding import fold
from agent_orchestration.core.messages import Body, Command
from agent_orchestration.core.state import COMMAND_MEMORY_MS
from agent_orchestration.domain.agents.commands import RegisterAgent
from agent_orchestration.domain.agents.model import SkillClaim
from agent_orchestration.domain.tasks.commands import ClaimTask, CompleteTask, CreateTask
from agent_orchestration.domain.tasks.model import DependencySpec, RequirementSpec
from agent_orchestration.pipeline.deciding import Asked, Decider
from bench.company import START, TENANT, capabilities, envelope_of
from bench.results import Figure, Goal, Row, at_most, compared

MOST_BYTES = 3 * 1024
MOST_GROWTH = 1.05
AGENTS = 200
_LIVE, _QUICK_LIVE = 20_000, 200
_FINISHED, _QUICK_FINISHED = 1_000_000, 100
_BACKLOG, _QUICK_BACKLOG = 10_000, 20
LIFECYCLE_MS = 20
"""By the log's clock: 50 lifecycles a second, and 45,000 commands that are remembered."""
_STATM = Path("/proc/self/statm")
_PAGE = 4096


class Processor:
    """Both copies of a tenant: the command processor's, which decides, and the projector's, which
    folds what is read back from the log. The graph has every event at once."""

    def __init__(self) -> None:
        self.decided = REGISTRY.new_state(TENANT)
        self.folded = REGISTRY.new_state(TENANT, decides=False)
        self.now = START
        self._decider = Decider(REGISTRY)
        self._offset = 0
        for number in range(AGENTS):
            self.ask(_agent(number))

    def ask(self, command: Command) -> Body:
        """Decide and fold a command; what its caller is told."""
        self._offset += 1
        sent = envelope_of(command, self._offset)
        envelope = CommandEnvelope.from_record(self._stored(sent.to_record()))
        read = REGISTRY.decode_command(envelope.type, envelope.body)
        asked = Asked(envelope, read, (1, self._offset), self.now)
        outcome = self._decider.decide(self.decided, asked)
        assert outcome.folded is not None, outcome.result
        event = EventEnvelope.from_record(self._stored(outcome.folded.envelope.to_record()))
        touched: list[tuple[type[Entity], str]] = [*fold(REGISTRY, self.folded, event).touched]
        self.folded.receipts.clear()
        for cls, entity_id in touched:
            self.decided.evict(cls, entity_id)
            self.folded.evict(cls, entity_id)
        self.decided.forget(self.decided.seq)
        return outcome.result.data

    def _stored(self, record: Record) -> StoredRecord:
        """As the log gives it back: nothing of it is shared with what was appended."""
        copy = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record)
        return StoredRecord("", 0, self._offset, self.now, copy.key, copy.value, copy.headers)

    def forget_commands(self) -> None:
        """Time passes until no earlier command is remembered."""
        self.now += COMMAND_MEMORY_MS + 1
        self.ask(_agent(self._offset))


def _agent(number: int) -> Command:
    return RegisterAgent(
        agent_id=f"agent-{number}",
        name=f"Agent {number}",
        kind="llm",
        skills=tuple(SkillClaim(name, 1000) for name in capabilities(number)),
        max_concurrency=10_000,
    )


def example_task(number: int) -> CreateTask:
    """Every fourth task waits for the one before it."""
    waits = number % 4 == 3
    return CreateTask(
        task_id=f"task-{number}",
        title=f"Translate chapter {number} of the manual",
        description="Translate it into German; keep the terms of the glossary.",
        requires=(RequirementSpec(capabilities(number % AGENTS)[0], 500),),
        depends_on=(DependencySpec(f"task-{number - 1}"),) if waits else (),
        payload=f'{{"input":"s3://bucket/chapter-{number}","language":"de"}}',
    )


def measure(quick: bool) -> list[Row]:
    """Bytes that Python allocated for live tasks, and pages of a process in which many end: first,
    before the process has pages from the other."""
    finished = _finished(quick)
    return [*_live(quick), finished]


@contextmanager
def _traced() -> Generator[None]:
    gc.collect()
    tracemalloc.start(1)
    try:
        yield
    finally:
        tracemalloc.stop()


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _live(quick: bool) -> list[Row]:
    """Three quarters of the tasks are ready or held, the others wait."""
    count = _QUICK_LIVE if quick else _LIVE
    processor = Processor()
    processor.forget_commands()
    with _traced():
        before = _allocated()
        for number in range(count):
            processor.ask(example_task(number))
        for number in range(count // 4):
            processor.ask(ClaimTask(agent_id=f"agent-{number % AGENTS}"))
        remembered = _allocated()
        commands = len(processor.decided.receipts)
        processor.forget_commands()
        bare = _allocated()
    tasks = [example_task(number) for number in range(count)]
    texts = [task.title + (task.description or "") + (task.payload or "") for task in tasks]
    text = sum(map(len, texts)) / count
    ours = (bare - before) / count
    return [
        compared(
            "P9",
            "live task with short texts in a processor, both copies, beside its texts alone",
            "B",
            (ours, text),
            Goal(f"≤ {MOST_BYTES} B", lambda ours, _: ours <= MOST_BYTES),
            quick=quick,
            durability="–",
        ),
        compared(
            "P9",
            "command that is remembered for five minutes so that a repeat gets its answer",
            "B",
            ((remembered - bare) / commands, None),
            durability="–",
        ),
    ]


def _finished(quick: bool) -> Row:
    """What a backlog of ready tasks takes after a million of others have come and gone."""
    total = _QUICK_FINISHED if quick else _FINISHED
    backlog = _QUICK_BACKLOG if quick else _BACKLOG
    processor = Processor()
    for number in range(backlog):
        processor.ask(example_task(4 * number))
    early = 0.0
    for number in range(backlog, backlog + total):
        if number == backlog + total // 5:
            early = _resident()
        _lifecycle(processor, number)
    late = _resident()
    what = f"process with {backlog:,} live tasks after {total:,} finished, beside after 20 %"
    sides = (late, early or None)
    return compared("P9", what, "B", sides, at_most(MOST_GROWTH), quick=quick, durability="–")


def _lifecycle(processor: Processor, number: int) -> None:
    processor.now += LIFECYCLE_MS
    processor.ask(example_task(4 * number))
    claim = processor.ask(ClaimTask(agent_id=f"agent-{4 * number % AGENTS}"))
    names = ("task_id", "agent_id", "attempt")
    processor.ask(CompleteTask(**{name: claim[name] for name in names}, result='{"pages":12}'))


def _resident() -> float:
    """Bytes of memory that the process has, 0 where the system does not tell."""
    gc.collect()
    return int(_STATM.read_text().split()[1]) * _PAGE if _STATM.exists() else 0


FIGURE = Figure("P9", "the memory of live tasks, and what finished ones leave", measure)
