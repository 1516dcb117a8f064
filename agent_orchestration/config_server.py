"""The section `server` of the settings."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from agent_orchestration.config_types import Count, HttpUrl, NotEmpty, Port, Seconds, Section


def _words(value: object) -> object:
    return (
        [word for part in value.split(",") if (word := part.strip())]
        if isinstance(value, str)
        else value
    )


class Server(Section):
    """Where MCP and HTTP are served; port 0 takes any free one. `url` is that of a server whose
    clients the verbs of this machine are. `allowed_hosts` are the names by which requests may call
    it (a list, or text with commas); without them only those that arrive at loopback are checked.
    `token`: whoever sends it names the caller that they act for. `access_token` says who calls:
    clients of a server send it, and `mcp` takes its identity from it. `timeout`: seconds after
    which a client gives up on an answer."""

    port: Port = 8000
    host: NotEmpty = "127.0.0.1"
    url: HttpUrl | None = None
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    token: Annotated[SecretStr, Field(min_length=16)] | None = None
    access_token: SecretStr | None = None
    workers: Count = 1
    timeout: Seconds = 60


class Analytics(Section):
    """Where servers ask what was counted: the `url` of `agent-orchestration analytics`, which has
    the same `server.token`. The embedded backend counts by itself."""

    url: HttpUrl | None = None
