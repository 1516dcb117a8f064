"""`users`: local accounts, on the data folder or with the server's token. Passwords are never
written on the command line."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_orchestration.cli.entities import LimitOption, pages, print_list
from agent_orchestration.cli.session import (
    ConfigOption,
    DataOption,
    JsonOption,
    ask,
    settings,
    with_dispatcher,
)
from agent_orchestration.cli.text import cell, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from agent_orchestration.config import Config
    from agent_orchestration.core.dispatch import Caller

COLUMNS = ["id", "name", "roles", "sessions", "added_at", "disabled_at"]

users = typer.Typer(
    help="Local accounts: who may log in with a password. A password is asked for, or read as one"
    " line from standard input.",
    no_args_is_help=True,
)


def _check_tenant(tenant: str | None) -> str | None:
    from agent_orchestration.core.types import is_id  # noqa: PLC0415 (start-up time)

    if tenant is not None and not is_id(tenant):
        raise typer.BadParameter("must be 1 to 128 letters, digits or . _ : -")
    return tenant


UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user name.")]
RolesArgument = Annotated[
    list[str], typer.Argument(metavar="ROLE…", help="admin, operator, analyst or viewer.")
]
TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant", metavar="ID", help="Whose users (default: default).", callback=_check_tenant
    ),
]


def add_to(program: typer.Typer) -> None:
    """Register the noun."""
    program.add_typer(users, name="users")


@users.command("add")
def add(
    user: UserArgument,
    roles: RolesArgument,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="For people.")] = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Let somebody log in. The first administrator is made in this way.

    Example: agent-orchestration users add ada admin
    """
    given = {"id": user, "roles": roles, "name": name, "password": _password()}
    _change("add_user", given, tenant, config, data, as_json=as_json)


@users.command("list")
def list_users(
    tenant: TenantOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List users in the order of their names, with their roles and open sessions.

    Example: agent-orchestration users list --json
    """
    loaded = settings(config, data)
    caller = _caller(loaded, tenant)
    rows = with_dispatcher(
        loaded, lambda dispatcher: pages(dispatcher, "list_users", "users", {}, limit, caller)
    )
    print_list(rows, COLUMNS, as_json)


@users.command("set-roles")
def set_roles(
    user: UserArgument,
    roles: RolesArgument,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give a user these roles instead of the present ones.

    Example: agent-orchestration users set-roles ada operator
    """
    _change("update_user", {"user_id": user, "roles": roles}, tenant, config, data, as_json=as_json)


@users.command("password")
def password(
    user: UserArgument,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give a user another password; the user has to log in again everywhere.

    Example: agent-orchestration users password ada
    """
    given = {"user_id": user, "password": _password()}
    _change("update_user", given, tenant, config, data, as_json=as_json)


@users.command("disable")
def disable(
    user: UserArgument,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a user log in no more, and end what sessions there are.

    Example: agent-orchestration users disable ada
    """
    given = {"user_id": user, "disabled": True}
    _change("update_user", given, tenant, config, data, as_json=as_json)


@users.command("enable")
def enable(
    user: UserArgument,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a user who was disabled log in again.

    Example: agent-orchestration users enable ada
    """
    given = {"user_id": user, "disabled": False}
    _change("update_user", given, tenant, config, data, as_json=as_json)


def _change(
    tool: str,
    given: dict[str, Any],
    tenant: str | None,
    config: "Path | None",
    data: "Path | None",
    *,
    as_json: bool,
) -> None:
    loaded = settings(config, data)
    user = ask(loaded, tool, given, caller=_caller(loaded, tenant))["user"]
    if as_json:
        print_json(user)
    else:
        state = "disabled" if user.get("disabled_at") else cell(user["roles"])
        print(f"{cell(user['id'])}: {state}")


def _caller(config: "Config", tenant: str | None) -> "Caller":
    from agent_orchestration.core.dispatch import Caller  # noqa: PLC0415 (start-up time)

    server = config.server
    if tenant is None:
        return Caller()
    if server.url is not None and (server.token is None or server.access_token is not None):
        raise typer.BadParameter(
            "needs the server's own token (server.token); an access token says itself whose users",
            param_hint="--tenant",
        )
    return Caller(tenant=tenant)


def _password() -> str:
    """The new password: asked for twice at a terminal, else one line of standard input."""
    if sys.stdin.isatty():
        return typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise typer.BadParameter("is expected as one line of standard input", param_hint="password")
    return line
