"""A dispatcher in memory with a handful of real tools, and clients, to test the front doors."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pydantic
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import Forbidden, NotFound, Rejected
from agent_orchestration.core.messages import Principal
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.core.tool import Gateway, Output, Role, tool
from agent_orchestration.pipeline.since import Since
from agent_orchestration.server.http import create_app
from agent_orchestration.server.mcp import create_mcp
from agent_orchestration.server.toolsets import Toolsets
from tests.listening import listening

Tags = Annotated[list[str], pydantic.Field(description="any number of tags")]


class Part(pydantic.BaseModel):
    name: str
    level: float = 1.0


class Noted(Output):
    text: str
    tags: list[str]
    parts: list[Part]
    bytes: int


class Who(Output):
    principal: str
    role: str
    tenant: str
    correlation: str | None = None
    traceparent: str | None = None


class Thing(Output):
    id: str


class GraphSchema(Output):
    labels: list[str]


class Counts(Output):
    agents: int
    tasks: dict[str, int]


class Breakers(Output):
    circuit_breakers: list[str]
    agents: list[str]


@tool(title="Note", role=Role.OPERATOR, toolsets=("orchestrate",))
async def note(
    gateway: Gateway,
    text: str,
    tags: Tags | None = None,
    parts: list[Part] | None = None,
    idempotency_key: str | None = None,
) -> Noted:
    """Keep a note."""
    return Noted(text=text, tags=tags or [], parts=parts or [], bytes=len(text.encode()))


@tool(title="Who am I", role=Role.VIEWER, toolsets=("inspect",), read_only=True)
async def whoami(gateway: Gateway) -> Who:
    """Tell who calls."""
    caller: Caller = gateway  # pyright: ignore[reportAssignmentType]
    return Who(
        principal=caller.principal.id,
        role=caller.principal.role,
        tenant=caller.tenant,
        correlation=caller.correlation,
        traceparent=caller.traceparent,
    )


@tool(title="Get task", role=Role.VIEWER, toolsets=("orchestrate", "worker"), read_only=True)
async def get_task(gateway: Gateway, task_id: str) -> Thing:
    """A task by its id."""
    if task_id.startswith("missing"):
        raise NotFound("unknown_task", f"no task has the id {task_id!r};\ncheck it", id=task_id)
    return Thing(id=task_id)


@tool(title="Get agent", role=Role.VIEWER, toolsets=("orchestrate",), read_only=True)
async def get_agent(gateway: Gateway, agent_id: str) -> Thing:
    """An agent by its id."""
    return Thing(id=agent_id)


@tool(title="Graph schema", role=Role.VIEWER, toolsets=("inspect",), read_only=True)
async def get_graph_schema(gateway: Gateway) -> GraphSchema:
    """The graph's labels."""
    return GraphSchema(labels=["Agent", "Task"])


@tool(title="Overview", role=Role.VIEWER, toolsets=("orchestrate", "inspect"), read_only=True)
async def get_overview(gateway: Gateway) -> Counts:
    """How much there is."""
    return Counts(agents=1234, tasks={"<ready>": 3})


@tool(title="Break", role=Role.OPERATOR, toolsets=("orchestrate",))
async def break_down(gateway: Gateway) -> Output:
    """Fail in an unexpected way."""
    raise ValueError("the password is 'swordfish'")


@tool(title="Purge", role=Role.ADMIN, toolsets=("admin",), destructive=True)
async def purge(gateway: Gateway) -> Output:
    """Only for administrators."""
    return Output()


@tool(title="Wait", role=Role.VIEWER, toolsets=("worker",), read_only=True)
async def wait_for_release(gateway: Gateway) -> Output:
    """Wait until released; the dispatcher takes care of it."""
    return Output()


@tool(title="Breakers", role=Role.VIEWER, toolsets=("admin",), read_only=True)
async def circuit_breaker_status(gateway: Gateway, limit: int = 50) -> Breakers:
    """Breakers of another process."""
    return Breakers(circuit_breakers=["elsewhere"], agents=[f"ann{limit}"])


TOOLS = (
    note,
    whoami,
    get_task,
    get_agent,
    get_graph_schema,
    get_overview,
    break_down,
    purge,
    wait_for_release,
    circuit_breaker_status,
)


class FakeDispatcher:
    """Runs the tools above in this process; `release` ends those that wait."""

    def __init__(self) -> None:
        self.registry = Registry(())
        self.registry.tools.update({each.name: each for each in TOOLS})
        self.ready = True
        self.release = asyncio.Event()
        self.waiting = asyncio.Event()
        self.abandoned = asyncio.Event()
        self.operations: list[Operation] = []
        self._since = Since(lambda: 1_000)

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        known = self.registry.tools.get(tool)
        if known is None:
            raise NotFound("unknown_tool", f"no tool is called {tool!r}")
        if not known.allows(caller.principal.role):
            raise Forbidden("role", f"{tool} needs the role {known.role}")
        if known is wait_for_release:
            await self._wait()
        return await known.call(caller, arguments)  # pyright: ignore[reportArgumentType]

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.abandoned.set()
            raise

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        del caller
        blobs = {"json": b'{"a":1}', "binary": b"\xff\x00"}
        if digest not in blobs:
            raise NotFound("unknown_blob", f"no blob has the digest {digest}")
        return blobs[digest]

    async def status(self) -> dict[str, Any]:
        checks = {"log": {"ok": True, "detail": "open"}, "graph": {"ok": self.ready, "detail": ""}}
        return {"ready": self.ready, "role": "owner", "checks": self._since.noted(checks)}

    async def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        self.operations.append(operation)
        if not self.ready:
            raise Rejected("not_now", "the graph is not open")
        yield {"done": 1, "total": 2}
        yield {"equal": True, "events": 2}


@functools.cache
def big_text(megabytes: int) -> str:
    return "x" * (megabytes * 1024 * 1024)


def names_of(role: str) -> set[str]:
    return {tool.name for tool in TOOLS if tool.allows(role)}


TOKEN = "sesame"
OWNER = {"Authorization": f"Bearer {TOKEN}"}
ERAS = [pytest.param("legacy", id="handshake"), pytest.param("2026-07-28", id="modern")]
ADA = Caller(principal=Principal("ada", "viewer"), tenant="acme", correlation="c-1")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def served(
    dispatcher: FakeDispatcher, toolsets: Toolsets = None, **options: Any
) -> AsyncGenerator[str]:
    app = create_app(dispatcher, toolsets=toolsets, token=TOKEN, **options)
    async with listening(app) as url:
        yield url


def in_memory(
    dispatcher: FakeDispatcher, toolsets: Toolsets = None, caller: Caller | None = None
) -> Client[Any]:
    return Client(create_mcp(dispatcher, toolsets=toolsets, caller=lambda: caller or Caller()))


def mcp_client(url: str, era: str, headers: dict[str, str] | None = None) -> Client[Any]:
    return Client(StreamableHttpTransport(f"{url}/mcp", headers=headers), mode=era)
