"""A Kafka that encrypts and lets nobody in without a password, and whose users may do what
docs/kafka-rights.sh grants them."""

import os
import shlex
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services.kafka import Broker, own_broker

SCRIPT = Path(__file__).parents[2] / "docs" / "kafka-rights.sh"
USERS = (
    "ao-server",
    "ao-processor",
    "ao-analytics",
    "ao-topics",
    "ao-checks",
    "ao-operator",
)
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
ADMIN, ADMIN_PASSWORD = "admin", "only-for-tests-admin"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback, signed by itself, and the broker's file with its key too."""
    key, shown, both = (folder / name for name in ("key.pem", "cert.pem", "broker.pem"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", key, "-out", shown),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + shown.read_text(), "utf-8")
    return shown, both


def encrypted(shown: Path, both: Path) -> dict[str, str]:
    """The settings of a broker with what `certificate` made."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(shown),
    }


class Guarded:
    """The broker, and how to get in: a password for each of `USERS`, and the admin's."""

    def __init__(self, broker: Broker, folder: Path, shown: Path) -> None:
        self.broker = broker
        self._certificate = shown
        self._login = folder / "admin.properties"
        self._tools = folder / "bin"
        secret = f'{LOGIN} required username="{ADMIN}" password="{ADMIN_PASSWORD}";'
        lines = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": secret,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(shown),
        }
        self._login.write_text("".join(f"{k}={v}\n" for k, v in lines.items()), "utf-8")

    def password(self, user: str) -> str:
        """Of one of `USERS`."""
        return f"only-for-tests-{user}"

    def settings(self, user: str) -> dict[str, Any]:
        """The section `kafka` of the settings, for this user, without a prefix."""
        is_admin = user == ADMIN
        return {
            "bootstrap_servers": self.broker.bootstrap_servers,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN" if is_admin else "SCRAM-SHA-512",
            "username": user,
            "password": ADMIN_PASSWORD if is_admin else self.password(user),
            "ssl_ca_file": str(self._certificate),
        }

    def make_users(self) -> None:
        """The users, with their passwords and no rights."""
        for user in USERS:
            self.broker.run(
                "kafka.admin.ConfigCommand",
                *("--bootstrap-server", self.broker.bootstrap_servers),
                *("--command-config", str(self._login)),
                *("--alter", "--entity-type", "users", "--entity-name", user),
                *("--add-config", f"SCRAM-SHA-512=[password={self.password(user)}]"),
            )

    def grant(self, prefix: str, *, archive: bool = False) -> None:
        """What docs/kafka-rights.sh grants, for topics and a group with this prefix."""
        self._tools.mkdir(exist_ok=True)
        tool = self._tools / "kafka-acls.sh"
        command = shlex.join(self.broker.command("org.apache.kafka.tools.AclCommand"))
        tool.write_text(f'#!/bin/sh\nexec {command} "$@"\n', "utf-8")
        tool.chmod(0o755)
        path = os.pathsep.join([str(self._tools), os.environ["PATH"]])
        given = {"PATH": path, "PREFIX": prefix, "ARCHIVE": "yes" if archive else ""}
        words = ["sh", str(SCRIPT), self.broker.bootstrap_servers, str(self._login)]
        done = subprocess.run(
            words, env={**os.environ, **given}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def guarded_broker(folder: Path) -> Generator[Guarded]:
    """A started broker that has the users, who may do nothing yet. See `own_broker`."""
    shown, both = certificate(folder)
    secret = f'{LOGIN} required username="broker" password="inside"'
    known = f'user_broker="inside" user_{ADMIN}="{ADMIN_PASSWORD}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings = {
        **encrypted(shown, both),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": f"{secret} {known}",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": scram,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Nobody has a name on the controller's listener, which only the broker itself uses.
        "super.users": f"User:broker;User:{ADMIN};User:ANONYMOUS",
    }
    with own_broker(folder / "broker", settings, listener="SASL_SSL") as broker:
        guarded = Guarded(broker, folder, shown)
        guarded.make_users()
        yield guarded
