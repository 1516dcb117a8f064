"""The Faust application: which topics it reads, how it logs in, and where its table is.

Faust declares types for little of this, so what comes of it is `Any`.
"""

import logging
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any, cast

import faust
from faust.assignor.partition_assignor import PartitionAssignor

from agent_orchestration.backends.log.kafka.connection import client_options
from agent_orchestration.config_kafka import Kafka

GROUP = "analytics"
"""The consumer group, and what the names of the table's topics begin with."""
_TABLE = "windows"
# It warns of each commit with more than a hundred rows, for all of which we wait.
logging.getLogger("faust.transport.producer").setLevel(logging.ERROR)


class OneMember(PartitionAssignor):
    """Assigns everything to one member, the others wait: a tenant's events are in all partitions of
    the feeds, and only who reads all of them can put them in order. Whoever works goes on."""

    def _perform_assignment(self, cluster: Any, member_metadata: Any) -> Any:
        told: Any = self._get_client_metadata
        working = [
            member
            for member, metadata in sorted(member_metadata.items())
            if told(metadata).assignment.actives
        ]
        chosen = (working or sorted(member_metadata))[0]
        narrowed = {
            member: metadata
            if member == chosen
            else type(metadata)(metadata.version, [], metadata.user_data)
            for member, metadata in member_metadata.items()
        }
        return super()._perform_assignment(cluster, cast("Any", narrowed))


class KeptTable(faust.Table[bytes, bytes]):
    """A table that says when what it was told is in its changelog: Faust by itself does not wait
    for that, and goes on where it fails."""

    #: What a part of Faust says of itself is not ours to say.
    logger = logging.getLogger("faust")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # pyright: ignore[reportUnknownMemberType]
        self._sent: list[Awaitable[Any]] = []

    def send_changelog(self, *args: Any, **options: Any) -> Any:
        """See `faust.tables.base.Collection`."""
        message = super().send_changelog(*args, **options)
        self._sent.append(message)
        return message

    async def written(self) -> None:
        """Wait for the brokers to have it all. Raises what kept a message from them."""
        sent, self._sent = self._sent, []
        for message in sent:
            # What is sent is known at first, and then what the broker said.
            await message


def make_app(
    settings: Kafka, *, replicas: int, folder: Path, feeds: Iterable[str]
) -> tuple[Any, Any, Any]:
    """(application, the topic of all these feeds, its table). Nothing is connected yet."""
    options = client_options(settings, GROUP)
    app: Any = faust.App(
        settings.prefix + GROUP,
        broker=[f"kafka://{server}" for server in options["bootstrap_servers"]],
        broker_client_id=GROUP,
        broker_credentials=_credentials(options),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.session_timeout_ms / 5000,
        datadir=folder,
        autodiscover=False,
        web_enabled=False,
        # What waits for an event before it is not acknowledged, and may wait for long.
        stream_wait_empty=False,
        store="memory://",
        topic_replication_factor=replicas,
        PartitionAssignor=OneMember,
        Table=KeptTable,
    )
    kinds: dict[str, Any] = {"key_type": bytes, "value_type": bytes}
    names = [settings.prefix + feed for feed in feeds]
    topic = app.topic(*names, key_serializer="raw", value_serializer="raw", **kinds)
    # One partition: its rows are in it in the order in which they were written.
    table = app.Table(_TABLE, partitions=1, use_partitioner=True, **kinds)
    return app, topic, table


def _credentials(options: dict[str, Any]) -> Any:
    context = options.get("ssl_context")
    if options["security_protocol"].startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
