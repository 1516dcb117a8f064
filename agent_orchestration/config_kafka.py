"""The section `kafka` of the settings."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from agent_orchestration.config_types import Count, Milliseconds, NotEmpty, Section, no_bool

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

#: What Kafka allows in names of topics.
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")


def _bootstrap(value: str) -> str:
    for part in value.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, several of them separated by commas")
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError("may have letters, digits, dots, hyphens and underscores, at most 100")
    return value


class TopicSettings(Section):
    """What differs from the platform's own figures for one topic."""

    name: NotEmpty
    partitions: Count | None = None
    retention_ms: Annotated[int, BeforeValidator(no_bool), Field(ge=1)] | None = None


class Kafka(Section):
    """Kafka. `num_partitions` are for topics that say nothing else, `replication_factor` for all
    (by default 1, in production 3). `prefix` precedes the names of topics and groups, for clusters
    that several installations share. A processor that was silent for `session_timeout_ms` loses
    its partitions to the others. The files are PEM; `ssl_ca_file` is needed where the machine
    does not know who signed the brokers' certificates."""

    bootstrap_servers: Annotated[str, AfterValidator(_bootstrap)] = "localhost:9092"
    num_partitions: Count = 4
    replication_factor: Count | None = None
    topics: tuple[TopicSettings, ...] = ()
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    session_timeout_ms: Milliseconds = 15_000
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: NotEmpty | None = None
    password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.username and self.password):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs username and password"
                " (KAFKA_USERNAME, KAFKA_PASSWORD)"
            )
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file are needed together")
        return self
