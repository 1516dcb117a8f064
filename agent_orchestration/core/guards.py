"""What decisions and questions of all modules insist on first: an id that is known, one that is
free, rules that know what is asked for."""

from typing import TypeVar

from agent_orchestration.core.entities import Entity
from agent_orchestration.core.errors import NotFound, Rejected
from agent_orchestration.core.state import TenantState

E = TypeVar("E", bound=Entity)


def unknown(cls: type[Entity], entity_id: str, field: str | None = None) -> NotFound:
    """The error for an id that nothing has; `field` is the argument that names it, by default
    `<class>_id`."""
    name = cls.__name__.lower()
    field = field or f"{name}_id"
    return NotFound(
        f"unknown_{name}",
        f"{field}: there is no {name} {entity_id}; see list_{name}s",
        field=field,
        **{f"{name}_id": entity_id},
    )


def known(state: TenantState, cls: type[E], entity_id: str, field: str | None = None) -> E:
    """The entity. Raises `unknown`."""
    found = state.get(cls, entity_id)
    if found is None:
        raise unknown(cls, entity_id, field)
    return found


def refuse_older_rules(state: TenantState, since: int, field: str, what: str) -> None:
    """Raises `Rejected` where rules before `since` are in force, which knew none of `what`; `field`
    asks for one."""
    if state.rules < since:
        raise Rejected(
            "older_rules",
            f"{field}: {what} came with rules {since}, and rules {state.rules} are in force; leave"
            " it out, or have an administrator call raise_rules",
            field=field,
        )


def refuse_taken(
    state: TenantState,
    cls: type[Entity],
    entity_id: str,
    remedy: str = "choose another id",
    called: str | None = None,
) -> None:
    """Raises `Rejected` where an entity of the class has the id; `called` is what to call it."""
    name = cls.__name__.lower()
    if state.get(cls, entity_id) is not None:
        raise Rejected(
            "already_exists",
            f"id: {called or name} {entity_id} exists; {remedy}",
            field="id",
            **{f"{name}_id": entity_id},
        )
