"""Calling tools in another process, over its HTTP interface."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import httpx2
import msgspec

from agent_orchestration.core.accounts import (
    ACCOUNTS_PATH,
    AccountCall,
    Granted,
    IsDisabled,
    LogIn,
    Refresh,
    Revoke,
)
from agent_orchestration.core.dispatch import Caller
from agent_orchestration.core.errors import (
    ERRORS,
    PlatformError,
    Rejected,
    Unavailable,
    error_from_dict,
)
from agent_orchestration.core.module import Registry
from agent_orchestration.core.operations import Operation
from agent_orchestration.server.callers import headers_for

CONNECT_SECONDS = 5.0
#: What an owner answers that is going, or that is no longer the one the token is for.
_GOING = frozenset({"stopping", "wrong_token"})


class OwnerGone(Unavailable):
    """The owner cannot be reached any more: find the next one and repeat the same call."""


class RemoteDispatcher:
    """A `Dispatcher` that passes every call to the server at `url`. `token` is that server's own;
    an `access_token` says who calls, whatever caller is named. Without any the server decides.

    Raises what the tools raise, and `OwnerGone` when the server ended before it answered. The call
    may have been carried out then: only a repetition with the same idempotency key is safe.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        registry: Registry,
        seconds: float,
        *,
        access_token: str | None = None,
    ) -> None:
        self.url = url
        self.registry = registry
        self._seconds = seconds
        self._token = token
        self._access_token = access_token
        # A proxy named in the environment is not for a server on this machine.
        self._client = httpx2.AsyncClient(
            base_url=url,
            timeout=httpx2.Timeout(seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            trust_env=False,
        )

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """See `Dispatcher`."""
        request = self._request("POST", f"/api/v1/tools/{tool}", caller, _body(arguments))
        response = await self._sent(lambda: self._client.send(request))
        answer = _answer(response)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise _gone(f"{self.url} is not a server of ours")
        return cast("dict[str, Any]", result)

    async def read_blob(self, digest: str, caller: Caller) -> bytes:
        """See `Dispatcher`."""
        request = self._request("GET", f"/api/v1/blobs/{digest}", caller)
        response = await self._sent(lambda: self._client.send(request))
        if not response.is_success:
            _answer(response)
        return response.content

    async def status(self) -> dict[str, Any]:
        """See `Dispatcher`; an owner that is not ready answers too."""
        response = await self._sent(lambda: self._client.get("/ready"))
        status = _json(response.content)
        if not isinstance(status.get("ready"), bool):
            _answer(response)
            raise _gone(f"{self.url} is not a server of ours")
        return status

    async def metrics(self) -> str:
        """The server's own, in Prometheus' text format. Raises what asks for another token."""
        request = self._request("GET", "/metrics", Caller())
        request.headers["Accept"] = "text/plain"
        response = await self._sent(lambda: self._client.send(request))
        if not response.is_success:
            _answer(response)
        return response.text

    async def operate(self, operation: Operation) -> AsyncIterator[dict[str, Any]]:
        """See `Dispatcher`."""
        body = msgspec.json.encode(operation)
        request = self._request("POST", "/api/v1/operations", Caller(), body)
        request.extensions["timeout"] = httpx2.Timeout(None, connect=CONNECT_SECONDS).as_dict()
        response = await self._sent(lambda: self._client.send(request, stream=True))
        try:
            if not response.is_success:
                await response.aread()
                _answer(response)
            async for line in response.aiter_lines():
                step = _json(line.encode())
                if "error" in step:
                    raise error_from_dict(step)
                yield step
        except httpx2.TransportError as error:
            raise _gone(f"the server ended in the middle: {error}; repeat it") from error
        finally:
            await response.aclose()

    async def log_in(self, tenant: str, user_id: str, password: str) -> Granted:
        """See `core.accounts.Accounts`."""
        return await self._granted(LogIn(tenant, user_id, password))

    async def refresh(self, token: str) -> Granted:
        """See `core.accounts.Accounts`."""
        return await self._granted(Refresh(token))

    async def revoke(self, token: str) -> None:
        """See `core.accounts.Accounts`."""
        await self._account(Revoke(token))

    async def is_disabled(self, tenant: str, user_id: str) -> bool:
        """See `core.accounts.Accounts`."""
        return msgspec.convert(await self._account(IsDisabled(tenant, user_id)), bool)

    async def _granted(self, call: LogIn | Refresh) -> Granted:
        return msgspec.convert(await self._account(call), Granted)

    async def _account(self, call: AccountCall) -> Any:
        request = self._request("POST", ACCOUNTS_PATH, Caller(), msgspec.json.encode(call))
        return _answer(await self._sent(lambda: self._client.send(request)))["granted"]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _request(
        self, method: str, path: str, caller: Caller, body: bytes | None = None
    ) -> httpx2.Request:
        headers = headers_for(caller, self._token, self._access_token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._client.build_request(method, path, content=body, headers=headers)

    async def _sent(self, send: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        try:
            return await send()
        except (httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            raise Unavailable(
                "no_answer",
                f"the server at {self.url} did not answer within {self._seconds:g} s; the"
                " outcome is unknown, repeat the same request",
            ) from error
        except httpx2.TransportError as error:
            raise _gone(f"the server at {self.url} is gone: {error}") from error


def _gone(reason: str) -> OwnerGone:
    return OwnerGone("owner_gone", reason)


def _body(arguments: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(
            dict(arguments), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except RecursionError:
        problem = "are nested too deeply; flatten them"
    except UnicodeEncodeError:
        problem = "contain a lone surrogate; send valid Unicode"
    except (TypeError, ValueError) as error:
        problem = f"are not JSON: {error}"
    raise Rejected("invalid_argument", f"the arguments {problem}")


def _json(content: bytes) -> dict[str, Any]:
    """The JSON object, or nothing where the content is something else."""
    try:
        found: object = msgspec.json.decode(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _answer(response: httpx2.Response) -> dict[str, Any]:
    """The answer's JSON. Raises the error that it holds; one that is not ours means that another
    program listens at the address of an owner that is gone."""
    answer = _json(response.content)
    if response.is_success and answer:
        return answer
    error = error_from_dict(answer)
    if answer.get("error") not in (*ERRORS, PlatformError.kind) or error.code in _GOING:
        raise _gone(error.reason or f"{response.url} answered {response.status_code}") from error
    raise error
