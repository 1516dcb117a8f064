"""A small model of what a tenant's events may say, sharing no code with the platform.

`check_log.py` lets it follow a log.
"""

import json
from typing import Any

from tests.e2e.log_budgets import Spending
from tests.e2e.log_conversations import Conversations
from tests.e2e.log_entities import Agent, Record, Task, in_a_circle, skills, task_of

ENDED_BADLY = ("failed", "cancelled")
FINISHED = ("completed", *ENDED_BADLY)


class Tenant(Conversations, Spending):
    """One tenant's history, followed event by event."""

    def __init__(self, name: str, commands: dict[tuple[int, int], Record]) -> None:
        super().__init__(name, commands)
        self._dependents: dict[str, list[str]] = {}
        self.claims = 0
        self.most_held = 0
        self._steps = {
            **self.spoken,
            "TaskCreated": self._task_created,
            "TaskClaimed": self._task_taken,
            "TaskAssigned": self._task_taken,
            "TaskStarted": self._task_reported,
            "TaskProgressed": self._task_reported,
            "ArtifactAdded": self.holding,
            "TaskCompleted": self._task_completed,
            "TaskFailed": self._task_failed,
            "TaskLeaseExpired": self._lease_expired,
            "TaskReleased": self._task_released,
            "TaskCancelled": self._task_cancelled,
            "AgentRegistered": self._agent_registered,
            "AgentUpdated": self._agent_updated,
            "AgentDrained": self._agent_drained,
            "AgentResumed": self._agent_drained,
            "AgentRetired": self._agent_retired,
            "AgentInstantiated": self._agent_registered,
            "TeamFormed": self._team_formed,
            "TeamUpdated": self._team_updated,
            "TeamDisbanded": self._team_disbanded,
            "PlanSubmitted": self._plan_submitted,
            "RulesRaised": self._rules_raised,
            **self.spending_steps(),
        }

    def follow(self, record: Record) -> None:
        """Check one event and let the model take it in."""
        self.check_chain(record)
        self.check_command(record)
        step = self._steps.get(record.headers["ce_type"])
        if step is not None:
            try:
                step(record.headers["ce_type"], json.loads(record.value))
            except KeyError as missing:
                self.wrong("unknown id or field", f"{record.headers['ce_type']}: {missing}")

    def _task_created(self, _type: str, event: dict[str, Any]) -> None:
        task_id, team = event["task_id"], event.get("team_id")
        self._new_task(task_id, task_of(event, team))
        unmet = self._begin(task_id)
        if sorted(unmet) != sorted(event["unmet"]):
            self.wrong("dependency order", f"task {task_id}: unmet {event['unmet']}, not {unmet}")

    def _plan_submitted(self, _type: str, event: dict[str, Any]) -> None:
        plan_id, team, listed = event["plan_id"], event["team_id"], event["tasks"]
        if event.get("team") is not None:
            self._team_formed("TeamFormed", {"team_id": team, "members": event["team"]})
        plan = Task({}, {}, team, status="running")
        self._new_task(plan_id, plan)
        for task in listed:
            self._new_task(task["task_id"], task_of(task, team, plan_id))
            if not task["task_id"].startswith(f"{plan_id}."):
                self.wrong("plans name their tasks", f"{task['task_id']} in plan {plan_id}")
            plan.open_tasks.add(task["task_id"])
        for task in listed:
            unmet = self._begin(task["task_id"])
            if len(unmet) != task.get("unmet", 0):
                self.wrong("dependency order", f"task {task['task_id']}: not {len(unmet)} unmet")
        if circle := in_a_circle({one: set(self.tasks[one].depends_on) for one in plan.open_tasks}):
            self.wrong("plans have no circles", f"plan {plan_id}: {sorted(circle)[:9]}")

    def _new_task(self, task_id: str, task: Task) -> None:
        if task_id in self.tasks:
            self.wrong("ids are unique", f"task {task_id} is created again")
        if task.team is not None and self.teams[task.team] is None:
            self.wrong("disbanded teams get no work", f"task {task_id} for {task.team}")
        self.tasks[task_id] = task

    def _begin(self, task_id: str) -> list[str]:
        """The new task is ready or blocked; the dependencies that it waits for."""
        task = self.tasks[task_id]
        unmet = self._unmet(task)
        task.status = "blocked" if unmet else "ready"
        for dependency in task.depends_on:
            self._dependents.setdefault(dependency, []).append(task_id)
        return unmet

    def _unmet(self, task: Task) -> list[str]:
        return [one for one, policy in task.depends_on.items() if not self._is_met(one, policy)]

    def _is_met(self, task_id: str, policy: str) -> bool:
        status = self.tasks[task_id].status
        return status == "completed" or (status in ENDED_BADLY and policy == "continue")

    def _task_taken(self, type_: str, event: dict[str, Any]) -> None:
        task_id, agent_id = event["task_id"], event["agent_id"]
        task, agent = self.tasks[task_id], self.agents[agent_id]
        if unmet := self._unmet(task):
            self.wrong("dependency order", f"task {task_id} is taken before {unmet}")
        if task.holder is not None:
            self.wrong("one live claim", f"task {task_id} is held by {task.holder}")
            self.agents[task.holder].holds.discard(task_id)
        elif task.status != "ready":
            self.wrong("only ready tasks are taken", f"task {task_id} is {task.status}")
        if event["attempt"] != task.attempt + 1:
            detail = f"task {task_id}: {event['attempt']} after {task.attempt}"
            self.wrong("attempts increase by one", detail)
        if agent.retired or agent.draining:
            self.wrong("agents at work take work", f"{agent_id} is draining or retired")
        if lacking := [c for c, n in task.requires.items() if agent.skills.get(c, -1) < n]:
            self.wrong("requirements are met", f"{agent_id} lacks {lacking} for {task_id}")
        if task.team is not None and agent_id not in (self.teams[task.team] or ()):
            self.wrong("members only", f"{agent_id} takes {task_id} of {task.team}")
        if task.only not in (None, agent_id):
            self.wrong("one agent only", f"{agent_id} takes {task_id}, meant for {task.only}")
        agent.holds.add(task_id)
        if len(agent.holds) > agent.limit:
            self.wrong("max_concurrency", f"{agent_id} holds {len(agent.holds)} of {agent.limit}")
        self.claims += 1
        self.most_held = max(self.most_held, sum(len(a.holds) for a in self.agents.values()))
        task.attempt, task.holder = event["attempt"], agent_id
        task.lease_until = event["lease_until"]
        running = type_ == "TaskClaimed" and event["started"]
        task.status = "running" if running else "assigned"

    def holding(self, type_: str, event: dict[str, Any]) -> Task:
        """The task that the event's agent must hold under the event's attempt."""
        task = self.tasks[event["task_id"]]
        said = (event["agent_id"], event["attempt"])
        if said != (task.holder, task.attempt):
            detail = f"{event['task_id']}: {said} reports, {(task.holder, task.attempt)} holds it"
            self.wrong("fencing", detail)
        if type_ in ("TaskProgressed", "TaskCompleted") and task.status == "assigned":
            self.wrong("work is started first", f"task {event['task_id']} was {task.status}")
        return task

    def _free(self, task_id: str, task: Task, status: str) -> None:
        if task.holder is not None:
            self.agents[task.holder].holds.discard(task_id)
        task.holder, task.status, task.retry_at = None, status, None
        self.attempt_ended(task_id)

    def _task_reported(self, type_: str, event: dict[str, Any]) -> None:
        task = self.holding(type_, event)
        task.status, task.lease_until = "running", event["lease_until"]

    def _task_completed(self, type_: str, event: dict[str, Any]) -> None:
        self.holding(type_, event)
        self._end(event["task_id"], "completed")

    def _task_failed(self, type_: str, event: dict[str, Any]) -> None:
        task = self.holding(type_, event)
        if event["retry_at"] is None:
            self._end(event["task_id"], "failed")
            return
        if self.rules >= 2 and event["error_type"] == "worker_stopped":
            task.given_back += 1
        elif not task.has_attempts_left():
            self.wrong("attempts end", f"task {event['task_id']} after {task.attempt}")
        later = event["retry_at"] > self.at
        self._free(event["task_id"], task, "blocked" if later else "ready")
        task.retry_at = event["retry_at"] if later else None

    def _lease_expired(self, type_: str, event: dict[str, Any]) -> None:
        task = self.holding(type_, event)
        if self.at < task.lease_until:
            detail = f"task {event['task_id']} at {self.at}, lease until {task.lease_until}"
            self.wrong("leases last", detail)
        if event["requeued"] != task.has_attempts_left():
            self.wrong("attempts end", f"task {event['task_id']} after {task.attempt}")
        if event["requeued"]:
            self._free(event["task_id"], task, "ready")
        else:
            self._end(event["task_id"], "failed")

    def _task_released(self, _type: str, event: dict[str, Any]) -> None:
        task = self.tasks[event["task_id"]]
        if task.retry_at is None or self.at < task.retry_at:
            self.wrong("retries wait", f"task {event['task_id']}: retry at {task.retry_at}")
        task.status, task.retry_at = "ready", None

    def _task_cancelled(self, _type: str, event: dict[str, Any]) -> None:
        task = self.tasks[event["task_id"]]
        if task.status in ("completed", *ENDED_BADLY):
            self.wrong("finished is final", f"task {event['task_id']} was {task.status}")
        self._end(event["task_id"], "cancelled")

    def _end(self, task_id: str, status: str) -> None:
        """The task is finished; what waited for it goes on, stays or is cancelled, and so is what
        is open of a plan. A plan ends with its last task."""
        ending = [(task_id, status)]
        while ending:
            task_id, status = ending.pop()
            task = self.tasks[task_id]
            if task.status in FINISHED:
                continue
            self._free(task_id, task, status)
            ending += [(one, "cancelled") for one in task.open_tasks]
            for other_id in self._dependents.get(task_id, ()):
                other = self.tasks[other_id]
                if other.status != "blocked":
                    continue
                if status in ENDED_BADLY and other.depends_on[task_id] == "cancel":
                    ending.append((other_id, "cancelled"))
                elif other.retry_at is None and not self._unmet(other):
                    other.status = "ready"
            if task.plan is not None:
                plan = self.tasks[task.plan]
                plan.open_tasks.discard(task_id)
                plan.failed = plan.failed or status != "completed"
                if not plan.open_tasks:
                    ending.append((task.plan, "failed" if plan.failed else "completed"))

    def _agent_registered(self, _type: str, event: dict[str, Any]) -> None:
        if event["agent_id"] in self.agents:
            self.wrong("ids are unique", f"agent {event['agent_id']} is registered again")
        self.agents[event["agent_id"]] = Agent(skills(event["skills"]), event["max_concurrency"])

    def _agent_updated(self, _type: str, event: dict[str, Any]) -> None:
        agent = self.agents[event["agent_id"]]
        agent.limit = event.get("max_concurrency") or agent.limit
        if event.get("skills") is not None:
            agent.skills = skills(event["skills"])

    def _agent_drained(self, type_: str, event: dict[str, Any]) -> None:
        self.agents[event["agent_id"]].draining = type_ == "AgentDrained"

    def _agent_retired(self, _type: str, event: dict[str, Any]) -> None:
        agent = self.agents[event["agent_id"]]
        if sorted(agent.holds) != sorted(event["requeued"]):
            detail = f"{event['agent_id']} holds {sorted(agent.holds)}, not {event['requeued']}"
            self.wrong("retiring gives back", detail)
        for task_id in sorted(agent.holds):
            self._free(task_id, self.tasks[task_id], "ready")
        agent.retired = True
        for members in self.teams.values():
            (members or set()).discard(event["agent_id"])

    def _team_formed(self, _type: str, event: dict[str, Any]) -> None:
        if event["team_id"] in self.teams:
            self.wrong("ids are unique", f"team {event['team_id']} is formed again")
        self.teams[event["team_id"]] = set()
        self._join(event["team_id"], event["members"])

    def _team_updated(self, _type: str, event: dict[str, Any]) -> None:
        members = self._members(event["team_id"])
        if strangers := set(event["left"]) - members:
            self.wrong("members leave", f"{sorted(strangers)} were not in {event['team_id']}")
        members -= set(event["left"])
        self._join(event["team_id"], event["joined"])

    def _team_disbanded(self, _type: str, event: dict[str, Any]) -> None:
        team_id = event["team_id"]
        if sorted(self._members(team_id)) != sorted(event["left"]):
            self.wrong("members leave", f"{team_id} has other members than {event['left']}")
        its = [
            one for one, t in self.tasks.items() if t.team == team_id and t.status not in FINISHED
        ]
        if sorted(its) != sorted(event["released"]):
            self.wrong("disbanding gives back", f"{team_id} has {len(its)} tasks to do")
        for task_id in its:
            self.tasks[task_id].team = None
        self.teams[team_id] = None

    def _rules_raised(self, _type: str, event: dict[str, Any]) -> None:
        if event["rules"] <= self.rules:
            self.wrong("rules are raised", f"from {self.rules} to {event['rules']}")
        self.rules = event["rules"]

    def _members(self, team_id: str) -> set[str]:
        members = self.teams[team_id]
        if members is None:
            self.wrong("finished is final", f"team {team_id} was disbanded")
        return set() if members is None else members

    def _join(self, team_id: str, listed: list[dict[str, Any]]) -> None:
        for member in listed:
            if self.agents[member["agent_id"]].retired:
                self.wrong("members are at work", f"{member['agent_id']} is retired")
            self._members(team_id).add(member["agent_id"])
