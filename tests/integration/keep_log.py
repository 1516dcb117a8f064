"""Writes the log of a small history, and what the graph showed of it, for later versions to read.

    python tests/integration/keep_log.py FOLDER

Before a release, run it with the released sources first on the path (`git worktree add ../old TAG`,
`PYTHONPATH=../old`), and commit FOLDER as `tests/unit/kept_logs/VERSION`. It uses only what `World`
and `Ticks` of that version offer. The history is told by tool calls and by the real timer on a
clock of its own; later versions must read it, and decide it again as it was decided.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.core.errors import PlatformError, Rejected
from tests.integration.test_timer import Ticks, watch
from tests.integration.world import Clock, World

TOPICS = ("commands", "events", "system_events")
LABELS = ("Agent", "Capability", "Task", "Tenant")
FATAL = {"max_attempts": 5, "initial_seconds": 30, "non_retryable": ["fatal"]}


class Company:
    """What the people and programs of the history say."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks
        self.world = ticks.world

    async def refused(self, tool: str, **arguments: Any) -> None:
        """A call that the rules refuse."""
        with pytest.raises(PlatformError):
            await self.world.call(tool, **arguments)

    async def claim(self, agent: str, **more: Any) -> dict[str, Any]:
        """The agent takes the best task: what it has to say with every report."""
        got = await self.world.call("claim_task", agent_id=agent, **more)
        return {"task_id": got["task"]["id"], "agent_id": agent, "attempt": got["attempt"]}

    async def push(self, task: str, agent: str) -> None:
        """The task is given to an agent that is offline; where that is refused, it shows up."""
        with contextlib.suppress(Rejected):
            await self.world.call("assign_task", task_id=task, agent_id=agent)
            return
        await self.world.call("heartbeat", agent_id=agent, leases=[])
        await self.world.call("assign_task", task_id=task, agent_id=agent)

    async def opening(self) -> None:
        """Agents with and without a promise of heartbeats."""
        world = self.world
        await world.call("define_capability", name="python", category="code", description="Snakes")
        python = [{"name": "python", "level": 0.8}]
        await world.agent("ann", capabilities=python, heartbeat_seconds=30, labels={"at": "home"})
        await world.agent("bob", capabilities=[{"name": "python"}], max_concurrency=2)
        await world.agent("eve", heartbeat_seconds=86_400)
        await self.refused("register_agent", id="bob", name="Bob", kind="llm", capabilities=[])
        await world.call("update_agent", agent_id="bob", name="Robert", labels={"a": "b=c"})
        await world.call("update_agent", agent_id="bob", name="Robert")

    async def chain(self) -> None:
        """Four tasks that wait for each other, one of which fails for good."""
        world, needs = self.world, [{"capability": "python", "level": 0.5}]
        payload = {"n": 2**53, "deep": [None, {"ü": "\u2028"}]}
        await world.task("build", requires=needs, priority=1, payload=payload, retry=FATAL)
        edge = {"task_id": "build", "on_failure": "cancel"}
        await world.task("check", depends_on=[edge], idempotency_key="once")
        await world.task("check", depends_on=[edge], idempotency_key="once")
        await self.refused("create_task", id="check2", title="x", idempotency_key="once")
        await world.task("ship", depends_on=["check"])
        await world.task("tell", depends_on=[{"task_id": "build", "on_failure": "continue"}])
        await self.refused("create_task", id="ghost", title="x", depends_on=["nobody"])
        held = await self.claim("ann", start=False)
        await world.call("start_task", **held)
        await world.call("report_progress", **held, progress={"half": True})
        await world.call("fail_task", **held, error="no disk", error_type="disk")
        await self.refused("complete_task", **held)
        await self.ticks.pass_seconds(36)  # the retry is due, and ann has not been heard of
        await self.push("build", "ann")
        held = {"task_id": "build", "agent_id": "ann", "attempt": 2}
        await world.call("start_task", **held)
        await world.call("fail_task", **held, error="broken", error_type="fatal")
        await world.call("heartbeat", agent_id="ann", leases=[])
        held = await self.claim("bob")
        await world.call("complete_task", **held, result=[1.5, "done"])
        await world.call("complete_task", **held, result=[1.5, "done"])

    async def attempts(self) -> None:
        """Attempts that are given back, lost, and used up."""
        world, once = self.world, {"max_attempts": 1}
        stopped = {"error": "the worker was stopped", "error_type": "worker_stopped"}
        await world.agent("dan", capabilities=[{"name": "draining"}])
        await world.task("drained", retry=once, requires=[{"capability": "draining"}])
        await world.call("fail_task", **await self.claim("dan"), **stopped, retry_after_seconds=0)
        await world.call("claim_task", agent_id="dan")
        await world.task("free", retry={"initial_seconds": 2})
        await world.call("fail_task", **await self.claim("bob"), **stopped, retry_after_seconds=0)
        await world.call("fail_task", **await self.claim("bob"), error="no")
        await self.ticks.pass_seconds(6)
        await world.call("fail_task", **await self.claim("bob"), error="no", retryable=False)
        await world.task("late", lease_seconds=20, retry={"max_attempts": 2})
        for _ in range(2):
            await self.claim("eve")
            await self.ticks.pass_seconds(21)
        await world.call("claim_task", agent_id="bob", wait_seconds=0)

    async def goodbye(self) -> None:
        """Agents that go, and what they held."""
        world = self.world
        await world.task("held", priority=5)
        await world.task("wanted", priority=2)
        await world.task("not-wanted")
        await self.claim("bob")
        await self.claim("bob")
        await world.call("cancel_task", task_id="not-wanted", reason="changed our minds")
        await world.call("drain_agent", agent_id="bob")
        await self.refused("claim_task", agent_id="bob")
        await world.call("drain_agent", agent_id="bob", draining=False)
        await self.refused("retire_agent", agent_id="bob")
        await world.call("retire_agent", agent_id="bob", force=True)
        await self.ticks.pass_seconds(31)  # ann is silent again
        await self.push("wanted", "ann")
        await world.call("start_task", task_id="wanted", agent_id="ann", attempt=2)
        await world.call("complete_task", task_id="wanted", agent_id="ann", attempt=2)

    async def elsewhere(self) -> None:
        """Another tenant."""
        await self.world.agent("ann", "acme")
        await self.world.task("t", "acme")
        await self.world.call("claim_task", "acme", agent_id="ann")
        await self.world.call("complete_task", "acme", task_id="t", agent_id="ann", attempt=1)


async def history(data: Path) -> tuple[list[str], dict[str, Any]]:
    """Let it all happen in `data`; the lines of the log, and what the graph shows."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        ticks = watch(World(data, clock), clock, patch)
        async with ticks.world as world:
            company = Company(ticks)
            await company.opening()
            await company.chain()
            await company.attempts()
            await company.goodbye()
            await company.elsewhere()
            for tenant in ("default", "acme"):
                await world.settled(tenant)
            lines = [line for topic in TOPICS for line in await records_of(world, topic)]
            shown = {"fingerprint": await world.fingerprint(), "nodes": await nodes_of(world)}
            return lines, shown


def keep(folder: Path) -> None:
    """Write what there is to keep."""
    with tempfile.TemporaryDirectory() as data:
        lines, shown = asyncio.run(history(Path(data)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "records.jsonl").write_text("".join(lines), "utf-8")
    (folder / "graph.json").write_text(json.dumps(shown, indent=1, sort_keys=True) + "\n", "utf-8")


async def records_of(world: World, topic: str) -> list[str]:
    """The topic's records, each as a line of JSON."""
    return [
        json.dumps(
            {
                "topic": topic,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "headers": dict(record.headers),
                "value": record.value.decode(),
            }
        )
        + "\n"
        for record in await world.records(topic)
    ]


async def nodes_of(world: World) -> dict[str, list[dict[str, Any]]]:
    """The properties of the nodes by label, in order of id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for label in LABELS:
        statement = f"MATCH (n:{label}) RETURN properties(n) AS row ORDER BY n.id"
        rows = await world.graph.query(statement, {})
        found[label] = [plain(row["row"], label) for row in rows]
    return found


def plain(row: dict[str, Any], label: str) -> dict[str, Any]:
    """The row as JSON can hold it: times in ISO 8601, nothing that is absent, and nothing that the
    engine adds to every node."""
    added = {"type"} if label == "Task" else {"type", "title"}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if value is not None and name not in added
    }


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
