"""Settings: `config.yaml` and the environment become one frozen `Config`.

The environment wins over the file. This is the only module that reads the environment. Whatever is
wrong is reported at once, one line per problem, before anything starts.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from agent_orchestration.config_auth import Auth
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.config_problems import explain
from agent_orchestration.config_server import Analytics, Server
from agent_orchestration.config_types import (
    Count,
    Days,
    HttpUrl,
    Milliseconds,
    NotEmpty,
    Pattern,
    Seconds,
    Section,
    without_user,
)
from agent_orchestration.core.errors import PlatformError

Backend = Literal["embedded", "kafka-neo4j"]
Environment = Literal["development", "staging", "production"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

CONFIG_VARIABLE = "AGENT_ORCHESTRATION_CONFIG"
#: Environment variable -> the setting that it overrides. An empty variable counts as not set.
VARIABLES: dict[str, tuple[str, ...]] = {
    "OPENAI_API_KEY": ("openai", "api_key"),
    "OPENAI_BASE_URL": ("openai", "base_url"),
    "OPENAI_MODEL": ("openai", "default_model"),
    "NEO4J_URI": ("database", "uri"),
    "NEO4J_USERNAME": ("database", "username"),
    "NEO4J_PASSWORD": ("database", "password"),
    "KAFKA_BOOTSTRAP_SERVERS": ("kafka", "bootstrap_servers"),
    "KAFKA_USERNAME": ("kafka", "username"),
    "KAFKA_PASSWORD": ("kafka", "password"),
    "MCP_SERVER_PORT": ("server", "port"),
    "LOG_LEVEL": ("logging", "level"),
    "ENVIRONMENT": ("environment",),
    "AGENT_ORCHESTRATION_DATA": ("data",),
    "AGENT_ORCHESTRATION_BACKEND": ("backend",),
    "AGENT_ORCHESTRATION_BLOBS": ("blobs",),
    "AGENT_ORCHESTRATION_ARCHIVE": ("archive", "url"),
    "AGENT_ORCHESTRATION_BACKUPS": ("backups", "url"),
    "AGENT_ORCHESTRATION_SERVER": ("server", "url"),
    "AGENT_ORCHESTRATION_ALLOWED_HOSTS": ("server", "allowed_hosts"),
    "AGENT_ORCHESTRATION_TOKEN": ("server", "token"),
    "AGENT_ORCHESTRATION_ACCESS_TOKEN": ("server", "access_token"),
    "AGENT_ORCHESTRATION_ANALYTICS": ("analytics", "url"),
    "JWT_SECRET_KEY": ("auth", "jwt_secret"),
}
#: Backend -> what it cannot do without and what has no default.
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "embedded": (),
    "kafka-neo4j": (("database", "password"),),
}

#: The variables that commands inherit: none that could hold a secret.
_INHERITED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TMP|TEMP"
    "|SYSTEMROOT|COMSPEC|PATHEXT|USERPROFILE"
)


class ConfigError(PlatformError):
    """The settings are wrong. `problems` has one line for each: name, what is wrong, remedy."""

    kind = "config"
    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("invalid_config", "; ".join(problems), problems=problems)
        self.problems = problems


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _neo4j_uri(value: str) -> str:
    schemes = ("neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://")
    if not value.startswith(schemes):
        raise ValueError(f"must begin with one of {', '.join(schemes)}")
    return without_user(value)


def _folder(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) else value


def _place(value: object) -> object:
    """A folder may be relative, or in the user's home."""
    if isinstance(value, str) and "://" not in value:
        return str(_folder(value))
    return value


class Database(Section):
    """Neo4j. `name` is the database on the server, `connection_timeout` in milliseconds."""

    uri: Annotated[str, AfterValidator(_neo4j_uri)] = "neo4j://localhost:7687"
    name: NotEmpty = "neo4j"
    username: NotEmpty = "neo4j"
    password: SecretStr | None = None
    pool_size: Count = 10
    connection_timeout: Milliseconds = 5000


class Archive(Section):
    """Where events are kept for ever: `url` is a folder, or what fsspec understands. What is there
    leaves the log after `keep_days`; without a place nothing does."""

    url: Annotated[str, BeforeValidator(_place)] | None = None
    keep_days: Days = 7


class Backups(Section):
    """Where backups of the graph are kept: `url` is a folder, or what fsspec understands. They are
    deleted after `keep_days`, the last one never."""

    url: Annotated[str, BeforeValidator(_place)] | None = None
    keep_days: Days = 30


class OpenAI(Section):
    """The language model's service: OpenAI, or what speaks its protocol at `base_url`.
    `request_timeout` in seconds; at most `max_concurrency` requests of a process at once."""

    api_key: SecretStr | None = None
    base_url: HttpUrl | None = None
    default_model: NotEmpty = "gpt-4-turbo"
    request_timeout: Seconds = 30
    max_concurrency: Count = 8


class Recording(Section):
    """Patterns of what recordings of agents must not hold."""

    redact: tuple[Pattern, ...] = ()


class Logging(Section):
    """How much is logged."""

    level: Annotated[LogLevel, BeforeValidator(_upper)] = "INFO"


class Config(Section):
    """All settings, checked. Secrets are masked wherever it is printed. `blobs` is the folder for
    what is too large for the log (by default in `data`); processes on one log have to share it."""

    backend: Annotated[Backend, BeforeValidator(_lower)] = "embedded"
    data: Annotated[Path, BeforeValidator(_folder)] = Field(
        default_factory=lambda: Path.home() / ".agent-orchestration"
    )
    blobs: Annotated[Path, BeforeValidator(_folder)] | None = None
    environment: Annotated[Environment, BeforeValidator(_lower)] = "development"
    server: Server = Server()
    analytics: Analytics = Analytics()
    auth: Auth = Auth()
    database: Database = Database()
    kafka: Kafka = Kafka()
    archive: Archive = Archive()
    backups: Backups = Backups()
    openai: OpenAI = OpenAI()
    recording: Recording = Recording()
    logging: Logging = Logging()


def load_config(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """The settings of this process.

    `path` (or AGENT_ORCHESTRATION_CONFIG, or ./config.yaml if there is one) is the file, `environ`
    stands for the process's environment, and `overrides` ({"server.port": 9000, …}, None: not
    given) are what the command line says; they win over both. Raises `ConfigError`.
    """
    variables = os.environ if environ is None else environ
    file = _config_file(path, variables)
    settings = _read(file) if file is not None else {}
    sources: dict[tuple[str, ...], str] = {}
    for name, location in VARIABLES.items():
        if value := variables.get(name):
            _put(settings, location, value)
            sources[location] = name
    for dotted, value in (overrides or {}).items():
        if value is not None:
            location = tuple(dotted.split("."))
            _put(settings, location, value)
            sources[location] = f"--{location[-1]}"
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, sources, file) + _missing(settings)) from None
    if missing := _missing(settings):
        raise ConfigError(missing)
    return config


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of this process's environment that the commands of agents inherit."""
    variables = os.environ if environ is None else environ
    return {name: value for name, value in variables.items() if _INHERITED.fullmatch(name)}


def _config_file(path: Path | None, variables: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := variables.get(CONFIG_VARIABLE):
        return Path(named)
    usual = Path("config.yaml")
    return usual if usual.is_file() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        content: object = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: is not UTF-8 text"]) from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        what = getattr(error, "problem", None) or "malformed"
        raise ConfigError([f"{file}{line}: is not YAML: {what}"]) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError([f"{file}: must be a mapping of settings, such as `backend: embedded`"])
    # A section without any entry ("server:") reads as null and means its defaults.
    entries = cast("dict[Any, Any]", content)
    return {str(key): value for key, value in entries.items() if value is not None}


def _put(settings: dict[str, Any], location: tuple[str, ...], value: object) -> None:
    *sections, last = location
    for section in sections:
        inner: object = settings.get(section)
        if inner is not None and not isinstance(inner, dict):
            return  # the file is wrong here; validation says so
        settings[section] = dict(cast("dict[str, Any]", inner or {}))
        settings = settings[section]
    settings[last] = value


def _missing(settings: Mapping[str, Any]) -> list[str]:
    backend = str(settings.get("backend", "embedded")).lower()
    names = {location: name for name, location in VARIABLES.items()}
    return [
        f"{names[location]}: is required by backend {backend}; set it, or {'.'.join(location)} in"
        " config.yaml"
        for location in REQUIRED.get(backend, ())
        if not _get(settings, location)
    ]


def _get(settings: object, location: Iterable[str]) -> object:
    for part in location:
        is_section = isinstance(settings, Mapping)
        settings = cast("Mapping[str, object]", settings).get(part) if is_section else None
    return settings
