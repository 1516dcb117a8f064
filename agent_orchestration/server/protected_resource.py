"""Where clients learn who gives tokens for this server (OAuth 2.0 Protected Resource Metadata,
RFC 9728)."""

from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from agent_orchestration.config_auth import Auth

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
METADATA = (_WELL_KNOWN, f"{_WELL_KNOWN}/mcp")
"""The metadata of the server as a whole, and of its MCP address."""


def challenge(scope: Scope) -> str:
    """The `WWW-Authenticate` of a request whose token is missing or refused (RFC 6750)."""
    known = f'Bearer resource_metadata="{_base(HTTPConnection(scope))}{METADATA[1]}"'
    sent = "authorization" in Headers(scope=scope)
    return f'{known}, error="invalid_token"' if sent else known


class ProtectedResource:
    """Answers requests for the metadata."""

    def __init__(self, settings: Auth) -> None:
        servers = list(settings.authorization_servers)
        issuer = settings.issuer or ""
        if not servers and issuer.startswith(("http://", "https://")):
            servers = [issuer]
        self._described: dict[str, Any] = {
            "authorization_servers": servers,
            "scopes_supported": list(settings.scopes),
            "bearer_methods_supported": ["header"],
        }

    async def describe(self, request: Request) -> Response:
        """The metadata of the address that the request's path names."""
        resource = _base(request) + request.url.path.removeprefix(_WELL_KNOWN)
        return JSONResponse({"resource": resource, **self._described})


def _base(request: HTTPConnection) -> str:
    """The server's address as the client wrote it: nothing that could end a header's value."""
    return quote(str(request.base_url).rstrip("/"), safe=":/[]")
