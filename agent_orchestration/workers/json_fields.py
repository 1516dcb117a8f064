"""Reading members of a JSON document; a `Rejected` names the path of the one that is wrong."""

from typing import Any, NoReturn, cast

from agent_orchestration.core.errors import Rejected

MAX_TEXT_LENGTH = 512


def refuse(path: str, problem: str) -> NoReturn:
    """`Rejected` with text that can be shown and sent on, whatever the document held."""
    problem = problem.encode("utf-8", "backslashreplace").decode()
    raise Rejected("bad_workflow", f"{path or 'the document'}: {problem}", path=path)


def member(entry: dict[str, Any], key: str, path: str) -> Any:
    """The member, whatever it is; refused where it is missing."""
    if key not in entry:
        refuse(f"{path}.{key}".lstrip("."), "is missing")
    return entry[key]


def json_object(value: Any, path: str) -> dict[str, Any]:
    """The value, if it is an object."""
    if not isinstance(value, dict):
        refuse(path, f"{short(value)} is not an object")
    return cast("dict[str, Any]", value)


def json_list(entry: dict[str, Any], key: str, path: str) -> list[Any]:
    """The member, if it is a list."""
    value = member(entry, key, path)
    if not isinstance(value, list):
        refuse(f"{path}.{key}", f"{short(value)} is not a list")
    return cast("list[Any]", value)


def json_text(entry: dict[str, Any], key: str, path: str, limit: int = MAX_TEXT_LENGTH) -> str:
    """The member, if it is text of 1 to `limit` characters that can be encoded."""
    value = member(entry, key, path)
    path = f"{path}.{key}".lstrip(".")
    if not isinstance(value, str):
        refuse(path, f"{short(value)} is not text")
    if not value.strip():
        refuse(path, "is empty")
    if len(value) > limit:
        refuse(path, f"is {len(value)} characters long; at most {limit} are allowed")
    if any("\ud800" <= character <= "\udfff" for character in value):
        refuse(path, "contains a lone surrogate; use valid Unicode")
    return value


def short(value: Any) -> str:
    """A value as it may appear in an error: its first 60 characters, or what kind it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
