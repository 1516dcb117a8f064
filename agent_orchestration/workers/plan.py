"""From a workflow to what is registered and created on the platform for one run of it."""

import re
import secrets
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

import msgspec

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.program_names import ID_LENGTH, as_id
from agent_orchestration.workers.schedule import widths
from agent_orchestration.workers.wfformat import Workflow, WorkflowTask

MAX_AGENTS = 1000
MOST_BY_DEFAULT = 32
MOST_CAPABILITIES_EACH = 200
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}")


class PlannedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent to register: its id, a name for people, and the capabilities it has."""

    id: str
    name: str
    capabilities: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `ids` leads from a task's id in the file to its id on the platform.

    `chosen` says in words how the number of agents came about.
    """

    run_id: str
    workflow: Workflow
    ids: dict[str, str]
    agents: tuple[PlannedAgent, ...]
    chosen: str


def new_run_id(workflow: Workflow) -> str:
    """A fresh run id that begins like the workflow's name."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", workflow.name).strip("-")[:24].strip("-") or "run"
    return f"{stem}-{secrets.token_hex(3)}"


def make_plan(workflow: Workflow, run_id: str, agents: int | None) -> Plan:
    """The plan of a run with `agents` agents (None: as many as the workflow can use).

    Task ids follow from the run id, so the same run id means the same tasks; agent ids are new
    each time, because the agents live in the calling process. Raises `Rejected`.
    """
    if not RUN_ID.fullmatch(run_id):
        problem = "use 1 to 40 letters, digits or . _ : - and begin with a letter or digit"
        raise Rejected("invalid_argument", f"--run-id: {run_id!r}: {problem}", field="run_id")
    ids = {task.id: as_id(f"{run_id}.{task.id}", ID_LENGTH) for task in workflow.tasks}
    if len(set(ids.values())) < len(ids):
        problem = "two task ids become the same on the platform; rename one of them"
        raise Rejected("bad_workflow", f"workflow.specification.tasks: {problem}")
    teams, chosen = _teams(workflow, agents)
    session = secrets.token_hex(2)
    planned = tuple(
        PlannedAgent(id=f"{run_id}.{session}-{n}", name=_agent_name(team, n), capabilities=team)
        for n, team in enumerate(teams, 1)
    )
    return Plan(run_id=run_id, workflow=workflow, ids=ids, agents=planned, chosen=chosen)


def _agent_name(capabilities: Sequence[str], number: int) -> str:
    more = f" and {len(capabilities) - 1} more" if len(capabilities) > 1 else ""
    return f"replay agent {number}: {capabilities[0]}{more}"


def _teams(workflow: Workflow, wanted: int | None) -> tuple[list[tuple[str, ...]], str]:
    """The capabilities of each agent, and how their number was chosen."""
    tasks, number = workflow.tasks, len(workflow.capabilities)
    width = widths(tasks)
    fewest = max(1, -(-number // MOST_CAPABILITIES_EACH))
    if wanted is None:
        useful = min(sum(width.values()), MOST_BY_DEFAULT)
        if number <= MOST_BY_DEFAULT:
            chosen = f"as many as can work side by side, {MOST_BY_DEFAULT} at most"
            return _specialists(tasks, useful, width), f"{chosen}; most for the most work"
        chosen = f"few for {number} capabilities; each has several"
        return _generalists(tasks, max(MOST_BY_DEFAULT, fewest)), chosen
    if not fewest <= wanted <= MAX_AGENTS:
        raise Rejected(
            "invalid_argument",
            f"--agents: {wanted} is not possible; {number} capabilities need {fewest} to"
            f" {MAX_AGENTS} agents (one has at most {MOST_CAPABILITIES_EACH})",
            field="agents",
        )
    if wanted < number:
        return _generalists(tasks, wanted), "as asked; each has several capabilities"
    return _specialists(tasks, wanted, {}), "as asked; most for the most work"


def _work(tasks: Sequence[WorkflowTask]) -> dict[str, float]:
    """Capability -> recorded seconds; a moment is added per task, as some took 0 seconds."""
    work: dict[str, float] = {}
    for task in tasks:
        work[task.capability] = work.get(task.capability, 0.0) + task.runtime_seconds + 0.001
    return work


def _specialists(
    tasks: Sequence[WorkflowTask], count: int, most: Mapping[str, int]
) -> list[tuple[str, ...]]:
    """One capability each; each further agent goes where there is most work per agent, as long as
    the capability has fewer than `most` (not named: no limit)."""
    work = _work(tasks)
    agents = dict.fromkeys(work, 1)
    heap = [(-work[capability], capability) for capability in work if most.get(capability) != 1]
    heapify(heap)
    for _ in range(count - len(work)):
        _, capability = heappop(heap)
        agents[capability] += 1
        if agents[capability] != most.get(capability):
            heappush(heap, (-work[capability] / agents[capability], capability))
    return [(capability,) for capability, number in agents.items() for _ in range(number)]


def _generalists(tasks: Sequence[WorkflowTask], count: int) -> list[tuple[str, ...]]:
    """Several capabilities each: the next most laborious one goes to the agent with least work."""
    work = _work(tasks)
    held: list[list[str]] = [[] for _ in range(count)]
    heap = [(0.0, number) for number in range(count)]
    for capability in sorted(work, key=lambda c: (-work[c], c)):
        load, number = heappop(heap)
        held[number].append(capability)
        if len(held[number]) < MOST_CAPABILITIES_EACH:
            heappush(heap, (load + work[capability], number))
    return [tuple(capabilities) for capabilities in held]
