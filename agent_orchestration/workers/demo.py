"""The demo: a small company does a real job, loses a worker in the middle, and finishes.

Each agent of the team works in a process of its own. One is killed while it holds a task; its lease
runs out, and a colleague does the task under the next attempt. All that is told of it comes from
the platform's own answers.
"""

import asyncio
import contextlib
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from agent_orchestration.core.dispatch import Caller, Dispatcher
from agent_orchestration.core.errors import NotFound, Rejected, Unavailable
from agent_orchestration.workers.calls import PatientCalls
from agent_orchestration.workers.demo_company import (
    COMPANY,
    HEARTBEAT_SECONDS,
    LABEL,
    QUESTIONS,
    TEAM_SIZE,
    agent_ids,
    job_tasks,
    requirements,
)

POLL_SECONDS = 0.15
#: The whole demo takes a fraction of it; beyond, something is wrong.
PATIENCE_SECONDS = 120.0
END_SECONDS = 5.0
JOB = "inventory"

Answer = dict[str, Any]
Spawn = Callable[[str], Awaitable[Process]]
Tell = Callable[[str], None]


class Snapshot(msgspec.Struct, frozen=True):
    """The job at a moment, as the platform tells it: its tasks, and the agents of the company."""

    seconds: float
    tasks: list[Answer]
    agents: list[Answer]


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """Whose process was killed, and what it held at that moment."""

    agent_id: str
    pid: int
    task_id: str
    attempt: int
    progress: Any
    lease_until: str | None


class Demo:
    """One demonstration. `spawn` starts an agent's process, `tell` gets lines for people, `show`
    the job as it is."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        spawn: Spawn,
        tell: Tell,
        show: Callable[[Snapshot], None],
    ) -> None:
        self._call = PatientCalls(dispatcher, Caller(correlation=JOB))
        self._spawn = spawn
        self._tell = tell
        self._show = show
        self._started = time.monotonic()
        self._processes: dict[str, Process] = {}
        self._killed: Killed | None = None
        self._expiry_told = False

    async def run(self) -> Answer:
        """Play it to its end; answers everything worth telling. Raises `Unavailable` where the
        job does not end in time or a worker's process ends by itself."""
        job = await self._free_id()
        ids = await self._register(job)
        team = await self._form_team(job)
        await self._call(
            "submit_plan",
            id=job,
            title="Take inventory of a folder of documents",
            tasks=job_tasks(),
            team_id=team["id"],
            idempotency_key=f"{job}:submit",
        )
        plan = (await self._call("get_task", task_id=job))["task"]
        self._tell(f"Plan {job}: {plan['children']} tasks, for team {plan['team_id']} only.\n")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for member in team["members"]:
                    self._processes[member["agent_id"]] = await self._spawn(member["agent_id"])
                status = await self._watch(job, set(ids.values()))
        except TimeoutError:
            problem = f"the demo's job did not end within {PATIENCE_SECONDS:g} s; see list_tasks"
            raise Unavailable("demo_too_slow", problem) from None
        finally:
            await self._end_processes()
        return await self._told(job, team, status)

    async def _free_id(self) -> str:
        """`inventory`, or with a number where a demo was played in this data folder before."""
        for number in range(1, 1000):
            job = JOB if number == 1 else f"{JOB}-{number}"
            try:
                await self._call("get_task", task_id=job)
            except NotFound:
                return job
        raise Rejected("too_many_demos", "--data: holds 1000 demos; choose another folder")

    async def _register(self, job: str) -> dict[str, str]:
        """The company: name -> id. Those of an earlier demo, who have no process any more, go."""
        earlier = await self._call("list_agents", label=f"{LABEL}=inventory", limit=200)
        for agent in earlier["agents"]:
            if agent["status"] != "retired":
                await self._call("retire_agent", agent_id=agent["id"], force=True)
        ids = agent_ids(job)
        for name, levels in COMPANY.items():
            skills = [{"name": skill, "level": level} for skill, level in levels.items()]
            answer = await self._call(
                "register_agent",
                id=ids[name],
                name=name,
                kind="function",
                capabilities=skills,
                labels={LABEL: "inventory"},
                heartbeat_seconds=HEARTBEAT_SECONDS,
                idempotency_key=f"{job}:register:{name}",
            )
            agent = answer["agent"]
            able = ", ".join(f"{one['name']} {one['level']:g}" for one in agent["capabilities"])
            self._tell(f"  {agent['name']:5} ({agent['id']})  {able}")
        return ids

    async def _form_team(self, job: str) -> Answer:
        answer = await self._call(
            "form_team",
            id=f"{job}-team",
            goal="Take inventory of a folder of documents",
            requires=requirements(),
            min_size=TEAM_SIZE,
            max_size=TEAM_SIZE,
            idempotency_key=f"{job}:team",
        )
        team = answer["team"]
        needs = ", ".join(f"{one['capability']} {one['level']:g}" for one in team["requires"])
        names = ", ".join(member["name"] for member in team["members"])
        self._tell(f"Team {team['id']}: {names}; chosen for {needs}.")
        return team

    async def _watch(self, job: str, company: set[str]) -> str:
        """Show the job until it ends, and kill one worker on the way; the job's status."""
        async for snapshot in self._snapshots(job, company):
            self._show(snapshot)
            self._check_processes()
            if self._killed is None or self._escaped(snapshot):
                await self._kill_one(snapshot)
            elif not self._expiry_told:
                await self._tell_expiry(self._killed)
        answer = await self._call("get_task", task_id=job)
        return answer["task"]["status"]

    async def _snapshots(self, job: str, company: set[str]) -> AsyncIterator[Snapshot]:
        while True:
            waited = await self._call("wait_for_tasks", ids=[job], seconds=POLL_SECONDS)
            tasks = await self._call("list_tasks", parent_id=job, limit=200)
            agents = await self._call("list_agents", label=f"{LABEL}=inventory", limit=200)
            own = [agent for agent in agents["agents"] if agent["id"] in company]
            order = {f"{job}.{task['id']}": number for number, task in enumerate(job_tasks())}
            found = sorted(tasks["tasks"], key=lambda task: order[task["id"]])
            yield Snapshot(time.monotonic() - self._started, found, own)
            if waited["finished"]:
                return

    async def _kill_one(self, snapshot: Snapshot) -> None:
        """Kill whoever is in the middle of indexing: a colleague can do that, too."""
        for task in snapshot.tasks:
            name = task["id"].rpartition(".")[2]
            if task["status"] != "running" or not name.startswith("index-"):
                continue
            held = (await self._call("get_task", task_id=task["id"]))["task"]
            process = self._processes.get(held.get("agent_id", ""))
            if held["status"] != "running" or held.get("progress") is None or process is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._killed = Killed(
                agent_id=held["agent_id"],
                pid=process.pid,
                task_id=held["id"],
                attempt=held["attempt"],
                progress=held["progress"],
                lease_until=held.get("lease_until"),
            )
            del self._processes[held["agent_id"]]
            at = held["progress"]
            self._tell(
                f"KILLED the process of {held['agent_id']} (pid {process.pid}) in the middle of"
                f" {held['id']}, attempt {held['attempt']}: {at['done']} of {at['of']} documents"
                f" done; its lease runs until {held.get('lease_until')}"
            )
            return

    async def _tell_expiry(self, killed: Killed) -> None:
        history = await self._call(
            "get_history", task_id=killed.task_id, type="TaskLeaseExpired", limit=1
        )
        for event in history["events"]:
            self._expiry_told = True
            self._tell(
                f"LEASE EXPIRED: {killed.agent_id} was silent, so {killed.task_id} is open to"
                f" others again (event {event['seq']}, {str(event['at'])[11:23]})."
            )

    def _escaped(self, snapshot: Snapshot) -> bool:
        """Whether the task was reported as done in the moment of the kill; then another follows."""
        killed = self._killed
        one = next((t for t in snapshot.tasks if killed and t["id"] == killed.task_id), None)
        able = len(self._processes) > TEAM_SIZE - 2
        return able and one is not None and one["status"] == "completed" and one["attempt"] == 1

    def _check_processes(self) -> None:
        for agent_id, process in self._processes.items():
            if process.returncode is not None:
                problem = f"the process of {agent_id} ended with {process.returncode}"
                raise Unavailable("worker_ended", f"{problem}; demo-workers.log says why")

    async def _end_processes(self) -> None:
        """Workers end when their standard input does; also when this process dies."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes.values():
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _told(self, job: str, team: Answer, status: str) -> Answer:
        killed = self._killed
        parameters = {"plan": job, "team": team["id"]}
        report = await self._call("get_task", task_id=f"{job}.report")
        answers: list[Answer] = []
        for question, query in QUESTIONS.items():
            used = {name: value for name, value in parameters.items() if f"${name}" in query}
            rows = (await self._call("read_cypher", query=query, params=used))["rows"]
            answers.append({"question": question, "query": query, "params": used, "rows": rows})
        explained = None
        if killed is not None:
            explained = await self._call("explain_task", task_id=killed.task_id)
        return {
            "plan_id": job,
            "status": status,
            "team": team,
            "killed": msgspec.to_builtins(killed),
            "explanation": explained,
            "report": report["task"].get("result"),
            "questions": answers,
            "seconds": round(time.monotonic() - self._started, 3),
        }


def recovered(answer: Answer) -> bool:
    """Whether the killed worker's task was completed by somebody else under a later attempt."""
    killed, explained = answer["killed"], answer["explanation"]
    if killed is None or explained is None:
        return False
    task = explained["task"]
    later = task["attempt"] > killed["attempt"] and task["agent_id"] != killed["agent_id"]
    return answer["status"] == task["status"] == "completed" and later
