"""A stand-in for an identity provider that runs beside a test and speaks OAuth 2.1: discovery
(RFC 8414, or OpenID Connect's), registration of clients (RFC 7591), authorization codes with PKCE
for a resource (RFC 8707), refresh tokens that are good once, published keys. Its only user is
logged in and agrees to everything. What the protocol checks is checked by the MCP SDK."""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

from mcp.server.auth.handlers.authorize import AuthorizationHandler
from mcp.server.auth.handlers.metadata import MetadataHandler
from mcp.server.auth.handlers.register import RegistrationHandler
from mcp.server.auth.handlers.token import TokenHandler
from mcp.server.auth.middleware.client_auth import ClientAuthenticator
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import build_metadata
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.listening import listening
from tests.tokens import Later, claims, published, rsa_key, signed

REALM = "/realms/agents"
KID = "known"
WELL_KNOWN = {
    "oauth": f"/.well-known/oauth-authorization-server{REALM}",
    "openid": f"{REALM}/.well-known/openid-configuration",
}
Discovery = Literal["oauth", "openid"]


Provider = OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]


class IdentityProvider(Provider):
    """What was asked of it; how it is discovered, what the next tokens say and for how many
    seconds they are good."""

    def __init__(self) -> None:
        self.discovery: Discovery = "oauth"
        self.says: dict[str, Any] = {"roles": ["operator"]}
        self.seconds = 600
        #: Each request for a grant: of which kind, and for which resource.
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""
        self._clients: dict[str, OAuthClientInformationFull] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}

    @property
    def issuer(self) -> str:
        return self.url + REALM

    @property
    def jwks_uri(self) -> str:
        return f"{self.issuer}/keys"

    def access_token(self, audience: str | None) -> str:
        """A token for that audience, as it would be granted now."""
        said = claims(iss=self.issuer, aud=audience, exp=Later(self.seconds), **self.says)
        return signed(said, rsa_key(0), "RS256", kid=KID)

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self._clients[client_info.client_id] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        self.asked.append(("authorize", params.resource))
        code = AuthorizationCode(
            code=secrets.token_urlsafe(32),
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self._codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._granted(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return self._refresh_tokens.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self._refresh_tokens[refresh_token.token]
        return self._granted(client, scopes, refresh_token.resource)

    def _granted(
        self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None
    ) -> OAuthToken:
        next_one = RefreshToken(
            token=secrets.token_urlsafe(32),
            client_id=client.client_id,
            scopes=scopes,
            resource=resource,
        )
        self._refresh_tokens[next_one.token] = next_one
        return OAuthToken(
            access_token=self.access_token(resource),
            expires_in=self.seconds,
            refresh_token=next_one.token,
        )


def _app(provider: IdentityProvider) -> Starlette:
    registration = ClientRegistrationOptions(enabled=True)
    tokens = TokenHandler(provider, ClientAuthenticator(provider))

    async def metadata(request: Request) -> Response:
        if request.url.path != WELL_KNOWN[provider.discovery]:
            return Response(status_code=404)
        issuer = AnyHttpUrl(provider.issuer)
        described = build_metadata(issuer, None, registration, RevocationOptions())
        return await MetadataHandler(described).handle(request)

    async def token(request: Request) -> Response:
        form = await request.form()
        resource = form.get("resource")
        provider.asked.append((str(form["grant_type"]), str(resource) if resource else None))
        return await tokens.handle(request)

    async def keys(request: Request) -> Response:
        del request
        return JSONResponse({"keys": [published(rsa_key(0), KID)]})

    register = RegistrationHandler(provider, registration).handle
    return Starlette(
        routes=[
            *(Route(path, metadata) for path in WELL_KNOWN.values()),
            Route(f"{REALM}/register", register, methods=["POST"]),
            Route(f"{REALM}/authorize", AuthorizationHandler(provider).handle),
            Route(f"{REALM}/token", token, methods=["POST"]),
            Route(f"{REALM}/keys", keys),
        ]
    )


@asynccontextmanager
async def identity_provider() -> AsyncGenerator[IdentityProvider]:
    """One that listens on this machine."""
    provider = IdentityProvider()
    async with listening(_app(provider)) as provider.url:
        yield provider
