"""What the sections of the settings are made from."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr


def no_bool(value: object) -> object:
    """YAML's `yes` and `on` are booleans, which Python counts as numbers."""
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def without_user(uri: str) -> str:
    """Errors and logs name addresses, which a password is no part of."""
    if "@" in uri.partition("://")[2].partition("/")[0]:
        raise ValueError("must not hold a name or password: they have settings of their own")
    return uri


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return without_user(value)


def _pattern(value: str) -> str:
    try:
        matches_nothing = re.search(value, "") is not None
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if matches_nothing:
        raise ValueError("matches empty text; say what there has to be at least")
    return value


Count = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=10_000)]
Seconds = Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=3600)]
Days = Annotated[float, BeforeValidator(no_bool), Field(gt=0, le=36_500)]
Milliseconds = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=3_600_000)]
Port = Annotated[int, BeforeValidator(no_bool), Field(ge=0, le=65535)]
NotEmpty = Annotated[str, Field(min_length=1)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Section(BaseModel):
    """A section: nothing unknown, nothing that changes, and its values in no message."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def secrets_of(section: BaseModel) -> list[str]:
    """The values of all secrets that are set in a section, and in those below."""
    found: list[str] = []
    for _, value in section:
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, BaseModel):
            found += secrets_of(value)
    return found
