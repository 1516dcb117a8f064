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


class ProtectedResource:
    """Says what this server is to those who have no token for it."""

    def __init__(self, settings: Auth) -> None:
        servers = list(settings.authorization_servers)
        issuer = settings.issuer or ""
        if not servers and issuer.startswith(("http://", "https://")):
            servers = [issuer]
        described: dict[str, Any] = {
            "authorization_servers": servers,
            "scopes_supported": list(settings.scopes),
            "bearer_methods_supported": ["header"],
        }
        # The standard (section 3.2) has no empty lists.
        self._described = {name: value for name, value in described.items() if value}
        self._scopes = " ".join(settings.scopes)
        self._audience = f"{settings.audience or ''}/".lower()

    async def describe(self, request: Request) -> Response:
        """The metadata of the address that the request's path names."""
        resource = self._base(request) + request.url.path.removeprefix(_WELL_KNOWN)
        return JSONResponse({"resource": resource, **self._described})

    def challenge(self, scope: Scope) -> str:
        """The `WWW-Authenticate` of a request whose token is missing or refused (RFC 6750)."""
        parts = [f'resource_metadata="{self._base(HTTPConnection(scope))}{METADATA[1]}"']
        if self._scopes:
            parts.append(f'scope="{self._scopes}"')
        if "authorization" in Headers(scope=scope):
            parts.append('error="invalid_token"')
        return f"Bearer {', '.join(parts)}"

    def _base(self, request: HTTPConnection) -> str:
        """The server's address as the client wrote it: nothing that could end a header's value.

        Behind a proxy that ends TLS the request says http. The client, which compares, asked for
        https where the audience is a URL under the same name that does.
        """
        url = request.base_url
        if self._audience.startswith(f"https://{url.netloc.lower()}/"):
            url = url.replace(scheme="https")
        return quote(str(url).rstrip("/"), safe=":/[]")
