"""The whole way of a piece of work, as one MCP client sees it. Every answer is held against the
output schema that the server lists for the tool."""

import json
from typing import Any

from fastmcp import Client
from mcp_types import TextContent, TextResourceContents

from tests.e2e.server_process import call, check_against


class Journey:
    """One client's journey; all its ids begin with `prefix`, so that several can share a server."""

    def __init__(self, client: Client[Any], prefix: str) -> None:
        self._client = client
        self._schemas: dict[str, Any] = {}
        self.skill = f"{prefix}.python"
        self.agent = f"{prefix}-ada"
        self.first = f"{prefix}-first"
        self.second = f"{prefix}-second"

    async def run(self) -> None:
        """From the first agent to the last question."""
        listed = await self._client.list_tools()
        self._schemas = {tool.name: tool.output_schema for tool in listed}
        await self._plan()
        await self._do_the_first()
        await self._do_the_second()
        await self._look_back()
        await self._ask_the_graph()
        await self._read_resources()
        await self._get_prompts()

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await call(self._client, tool, **arguments)
        check_against(self._schemas[tool], answer)
        return answer

    async def _plan(self) -> None:
        """An agent, and two tasks, the second after the first."""
        unstaffed = await self._call(
            "create_task",
            id=self.first,
            title="Collect \N{SNOWMAN}",
            requires=[{"capability": self.skill, "level": 0.5}],
            payload={"pages": [1, "two", {"three": None}]},
            labels={"team": "red"},
        )
        assert unstaffed["unstaffed"] == [self.skill]
        assert unstaffed["task"]["payload"] == {"pages": [1, "two", {"three": None}]}
        agent = await self._call(
            "register_agent",
            id=self.agent,
            name="Ada",
            kind="llm",
            capabilities=[{"name": self.skill, "level": 0.8}],
        )
        assert agent["agent"]["status"] == "idle"
        found = await self._call("find_agents", capabilities=[{"name": self.skill, "level": 0.8}])
        assert [one["id"] for one in found["agents"]] == [self.agent]
        blocked = await self._call(
            "create_task",
            id=self.second,
            title="Summarise",
            depends_on=[self.first],
            requires=[{"capability": self.skill}],
        )
        assert (blocked["task"]["status"], blocked["unstaffed"]) == ("blocked", [])

    async def _do_the_first(self) -> None:
        """Pulled: claimed without starting, started, reported on, completed."""
        claimed = await self._call("claim_task", agent_id=self.agent, start=False)
        assert (claimed["task"]["id"], claimed["task"]["status"]) == (self.first, "assigned")
        held = {"task_id": self.first, "agent_id": self.agent, "attempt": claimed["attempt"]}
        assert (await self._call("start_task", **held))["task"]["status"] == "running"
        reported = await self._call("report_progress", **held, progress={"done": 0.5})
        assert reported["lease_until"] >= claimed["lease_until"]
        lease = {"task_id": self.first, "attempt": claimed["attempt"]}
        stale = {"task_id": self.second, "attempt": 1}
        beat = await self._call("heartbeat", agent_id=self.agent, leases=[lease, stale])
        assert [one["verdict"] for one in beat["leases"]] == ["continue", "fenced"]
        done = await self._call("complete_task", **held, result={"pages": 3})
        assert (done["task"]["status"], done["task"]["result"]) == ("completed", {"pages": 3})

    async def _do_the_second(self) -> None:
        """Pushed: assigned, started, completed."""
        waited = await self._call("wait_for_tasks", ids=[self.first, self.second], seconds=0)
        statuses = {task["id"]: task["status"] for task in waited["tasks"]}
        assert statuses == {self.first: "completed", self.second: "ready"}
        given = await self._call("assign_task", task_id=self.second, agent_id=self.agent)
        assert (given["task"]["status"], given["attempt"]) == ("assigned", 1)
        held = {"task_id": self.second, "agent_id": self.agent, "attempt": given["attempt"]}
        await self._call("start_task", **held)
        await self._call("complete_task", **held)
        waited = await self._call("wait_for_tasks", ids=[self.first, self.second], seconds=30)
        assert waited["finished"]
        nothing = await self._call("claim_task", agent_id=self.agent)
        assert "task" not in nothing

    async def _look_back(self) -> None:
        """Why a task is as it is, and what happened in which order."""
        explained = await self._call("explain_task", task_id=self.second)
        types = [event["type"] for event in explained["events"]]
        first_ends, second_ends = "TaskCompleted", "TaskCompleted"
        assert types == ["TaskCreated", first_ends, "TaskAssigned", "TaskStarted", second_ends]
        assert "next_step" not in explained
        history = await self._call("get_history", task_id=self.first)
        assert [event["type"] for event in history["events"]] == [
            "TaskCreated",
            "TaskClaimed",
            "TaskStarted",
            "TaskProgressed",
            "TaskCompleted",
        ]
        seqs = [event["seq"] for event in history["events"]]
        assert seqs == sorted(set(seqs))

    async def _ask_the_graph(self) -> None:
        """A prepared question, and one of one's own."""
        parameters = {"task_id": self.second}
        asked = await self._call("run_named_query", name="history_of_task", params=parameters)
        assert asked["rows"][0]["type"] == "TaskCreated"
        answer = await self._call(
            "read_cypher",
            query="MATCH (t:Task {id: $id})-[:DEPENDS_ON]->(d:Task)-[:ASSIGNED_TO]->(a:Agent)"
            " RETURN d.id AS dependency, a.name AS agent",
            params={"id": self.second},
        )
        assert answer["columns"] == ["dependency", "agent"]
        assert answer["rows"] == [{"dependency": self.first, "agent": "Ada"}]

    async def _read_resources(self) -> None:
        async def read(uri: str) -> Any:
            [content] = await self._client.read_resource(uri)
            assert isinstance(content, TextResourceContents)
            assert content.mime_type == "application/json"
            return json.loads(content.text)

        assert (await read(f"task://{self.first}"))["task"]["result"] == {"pages": 3}
        assert (await read(f"agent://{self.agent}"))["agent"]["status"] == "idle"
        labels = {node["label"] for node in (await read("schema://graph"))["nodes"]}
        assert {"Agent", "Capability", "Task", "Event"} <= labels

    async def _get_prompts(self) -> None:
        for name, arguments in (
            ("plan_a_goal", {"goal": "Translate the handbook"}),
            ("why_is_this_stuck", {"task_id": self.second}),
        ):
            prompt = await self._client.get_prompt(name, arguments)
            [message] = prompt.messages
            assert isinstance(message.content, TextContent)
            assert all(value in message.content.text for value in arguments.values())
            named = {word for word in self._schemas if f"`{word}`" in message.content.text}
            assert len(named) >= 3, "the prompt names tools that exist"
