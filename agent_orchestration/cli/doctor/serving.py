"""Preflight: what a running server says of itself."""

from typing import TYPE_CHECKING

import msgspec

from agent_orchestration.cli.doctor.check import Check

if TYPE_CHECKING:
    import httpx2

    from agent_orchestration.config import Config
    from agent_orchestration.data_folder import Owner

_SECONDS = 5.0
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 (an address to recognise)


class _Breaker(msgspec.Struct):
    name: str
    state: str


class _Breakers(msgspec.Struct):
    circuit_breakers: list[_Breaker]


class _Ready(msgspec.Struct):
    checks: dict[str, dict[str, object]]


class RunningServer:
    """The server of the settings, or that of the folder's owner; asked for each page anew."""

    def __init__(self, config: "Config", owner: "Owner | None") -> None:
        if owner is not None and config.server.url is None:
            self._url, self._token = owner.url, owner.token
            return
        host = "127.0.0.1" if config.server.host in _EVERYWHERE else config.server.host
        self._url = config.server.url or f"http://{host}:{config.server.port}"
        secret = config.server.access_token or config.server.token
        self._token = None if secret is None else secret.get_secret_value()

    def health(self) -> Check:
        """Whether it is ready."""
        name = "health"
        answer = self._get("/ready")
        if answer is None:
            return self._silent(name)
        if answer.status_code == 200:
            return Check(name, "ok", f"{self._url}/ready says that tools can be called")
        try:
            checks = msgspec.json.decode(answer.content, type=_Ready).checks
        except msgspec.DecodeError:
            return self._other(name)
        failing = ", ".join(one for one, found in checks.items() if not found.get("ok"))
        detail = (
            f"{self._url}/ready says {answer.status_code}: {failing or 'nothing is at work yet'}"
        )
        return Check(name, "fail", detail, "see its answer and the logs of the processes")

    def metrics(self) -> Check:
        """Whether it gives metrics."""
        name = "metrics"
        answer = self._get("/metrics")
        if answer is None:
            return self._silent(name)
        if not answer.is_success:
            return self._refused(name, answer)
        lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
        if not any(line.startswith("tool_calls_total") for line in lines):
            return self._other(name)
        detail = f"{len(lines)} series at {self._url}/metrics; whether they are fetched is not seen"
        return Check(name, "ok", detail)

    def circuit_breakers(self) -> Check:
        """From when on services are left alone, and which are now."""
        from agent_orchestration.resilience import CircuitBreakerConfig  # noqa: PLC0415

        name, usual = "circuit breakers", CircuitBreakerConfig()
        detail = (
            f"open after {usual.failures} failures in a row, try again after {usual.seconds:g} s"
        )
        answer = self._get("/api/v1/circuit-breakers/status")
        if answer is None:
            return self._silent(name, f"{detail}; ")
        if not answer.is_success:
            return self._refused(name, answer)
        try:
            found = msgspec.json.decode(answer.content, type=_Breakers).circuit_breakers
        except msgspec.DecodeError:
            return self._other(name)
        if away := [one.name for one in found if one.state != "closed"]:
            remedy = "see why these services do not answer"
            return Check(name, "warn", f"{detail}; not closed: {', '.join(away)}", remedy)
        return Check(name, "ok", f"{detail}; {len(found)} known at the server, all closed")

    def _get(self, path: str) -> "httpx2.Response | None":
        """The page; None where nobody answers."""
        import httpx2  # noqa: PLC0415 (start-up time)

        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        url = f"{self._url.rstrip('/')}{path}"
        try:
            with httpx2.Client(timeout=_SECONDS, trust_env=False) as client:
                return client.get(url, headers=headers)
        except httpx2.TransportError:
            return None

    def _silent(self, name: str, seen: str = "") -> Check:
        remedy = "start it, or name it with --server before the verb"
        return Check(name, "unchecked", f"{seen}no server answers at {self._url}", remedy)

    def _refused(self, name: str, answer: "httpx2.Response") -> Check:
        remedy = "set AGENT_ORCHESTRATION_ACCESS_TOKEN, or the server's own token"
        return Check(name, "unchecked", f"{self._url} answers {answer.status_code}", remedy)

    def _other(self, name: str) -> Check:
        detail = f"what answers at {self._url} is no server of ours"
        return Check(name, "fail", detail, "correct server.url, or server.port")
