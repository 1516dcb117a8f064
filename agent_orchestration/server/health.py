"""How the platform, what it depends on, and its agents are, for those who watch it."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agent_orchestration import __version__
from agent_orchestration.core.dispatch import Dispatcher
from agent_orchestration.core.errors import NotFound
from agent_orchestration.resilience import BREAKERS, CircuitBreakerState, CircuitBreakerStatus
from agent_orchestration.server.api import Handler, json_response, typed
from agent_orchestration.server.guard import CALLER

Health = Literal["healthy", "degraded", "unhealthy"]
AT_WORK = frozenset({"idle", "busy", "draining"})
_OF_AN_AGENT = (
    "id",
    "name",
    "status",
    "seen_at",
    "active",
    "max_concurrency",
    "circuit_breaker_state",
)


class ServiceHealth(msgspec.Struct, frozen=True):
    """A service, or a part of the platform, and since when it is so, for how many seconds, as far
    as this process knows: it looks when somebody asks."""

    status: Literal["healthy", "unhealthy"]
    detail: str
    since: datetime
    seconds: float


class HealthPages:
    """The handlers."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Each route's method, path and handler."""
        return [
            ("GET", "/api/v1/health", typed(self.all)),
            ("GET", "/api/v1/health/{service:path}", typed(self.one)),
            ("GET", "/api/v1/agents/health", typed(self.agents)),
        ]

    async def all(self, request: Request) -> Response:
        """Everything: 200, or 503 where no tool can be called."""
        del request
        ready, services = await self.look()
        well = all(one.status == "healthy" for one in services.values())
        status: Health = "unhealthy" if not ready else "healthy" if well else "degraded"
        body = {"status": status, "version": __version__, "services": services}
        return json_response(body, 200 if ready else 503)

    async def one(self, request: Request) -> Response:
        """One service: 200, or 503 where it is not well. Raises `NotFound`."""
        name = request.path_params["service"]
        _, services = await self.look()
        if name not in services:
            known = ", ".join(services)
            reason = f"service: nothing is known of {name}; known: {known}"
            raise NotFound("unknown_service", reason, field="service")
        found = services[name]
        return json_response(found, 200 if found.status == "healthy" else 503)

    async def agents(self, request: Request) -> Response:
        """A page of the caller's agents, chosen as `list_agents` chooses."""
        arguments: dict[str, Any] = dict(request.query_params)
        if "limit" in arguments:
            arguments["limit"] = _number(arguments["limit"])
        found = await self._dispatcher.call("list_agents", arguments, request.scope[CALLER])
        answer = {**found, "agents": [agent_health(agent) for agent in found["agents"]]}
        return json_response(answer, 200)

    async def look(self) -> tuple[bool, dict[str, ServiceHealth]]:
        """Whether tools can be called, and how everything is by its name."""
        status = await self._dispatcher.status()
        found = {name: _checked(one) for name, one in status["checks"].items()}
        return status["ready"], found | {one.name: _guarded(one) for one in BREAKERS.status()}


def _checked(check: dict[str, Any]) -> ServiceHealth:
    since = datetime.fromisoformat(check["since"])
    return ServiceHealth(_health(check["ok"]), check["detail"], since, check["seconds"])


def _guarded(breaker: CircuitBreakerStatus) -> ServiceHealth:
    """A service that is left alone, because it kept failing, is not well."""
    detail = f"circuit breaker {breaker.state.value}"
    seconds = round((datetime.now(UTC) - breaker.since).total_seconds(), 1)
    well = breaker.state is not CircuitBreakerState.OPEN
    return ServiceHealth(_health(well), detail, breaker.since, max(seconds, 0.0))


def _health(well: bool) -> Literal["healthy", "unhealthy"]:
    return "healthy" if well else "unhealthy"


def agent_health(agent: dict[str, Any]) -> dict[str, Any]:
    """What an agent of `list_agents` says of its health: well is who is at work, and whose calls
    outside are answered."""
    well = agent["status"] in AT_WORK and agent["circuit_breaker_state"] != "open"
    return {
        **{name: agent[name] for name in _OF_AN_AGENT},
        "health": "healthy" if well else "unhealthy",
    }


def _number(text: str) -> int | str:
    """For the tool to judge."""
    return int(text) if text.isdecimal() and text.isascii() else text
