"""The connection to the cluster: requests with retries, each with a limit of time.

Data goes over aiokafka's client directly rather than over its producer and consumer classes;
`docs/decisions/0005-kafka-requests.md` says why.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
)
from aiokafka.structs import TopicPartition

from agent_orchestration.backends.log.kafka.errors import explained, passes
from agent_orchestration.config_kafka import Kafka
from agent_orchestration.core.errors import Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds after which a request without an answer is given up and its connection closed.
REQUEST_SECONDS = 10.0
PAUSES = (0.05, 1.0)
CONTROL = "control"
#: What the verbs of operators call themselves.
OPERATOR = "ao-operator"


def client_options(settings: Kafka, client_id: str) -> dict[str, Any]:
    """What every client of aiokafka is made with."""
    options: dict[str, Any] = {
        "bootstrap_servers": [part.strip() for part in settings.bootstrap_servers.split(",")],
        "client_id": client_id,
        "request_timeout_ms": int(REQUEST_SECONDS * 1000),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_cert_file is not None:
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file)
        options["ssl_context"] = context
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        password = settings.password
        options["sasl_plain_password"] = password.get_secret_value() if password else None
    return options


@asynccontextmanager
async def connected(
    settings: Kafka, client_id: str = OPERATOR, seconds: float = 10.0
) -> AsyncGenerator["Connection"]:
    """A connection while the block runs. Raises `Unavailable`."""
    connection = Connection(settings, client_id, seconds)
    await connection.start()
    try:
        yield connection
    finally:
        await connection.stop()


class Connection:
    """A client of the cluster. `seconds` limits each operation with all its retries.

    A broker answers the requests of one connection strictly in turn. So whatever may take long has
    a lane, a connection of its own; lanes are made when they are first named.
    """

    def __init__(self, settings: Kafka, client_id: str, seconds: float) -> None:
        self.options = client_options(settings, client_id)
        self.seconds = seconds
        self._client: Any = None
        self._refreshing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it was started and not stopped."""
        return self._client is not None

    @property
    def client(self) -> Any:
        """The `AIOKafkaClient`, which declares no types. Raises `Unavailable` before `start` and
        after `stop`."""
        if self._client is None:
            raise Unavailable("log_closed", "the log is not open: start it first")
        return self._client

    async def start(self) -> None:
        """Connect. Raises `Unavailable` where no broker answers."""
        self._client = client = AIOKafkaClient(**self.options)
        servers = ", ".join(self.options["bootstrap_servers"])
        try:
            await self.retrying(client.bootstrap, f"connecting to {servers}")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all lanes; what waits for an answer ends with `Unavailable`."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def watch(self, topics: Iterable[str]) -> None:
        """Learn who leads the partitions of these topics, from now on. Raises `Unavailable`."""
        await self.retrying(lambda: self.client.set_topics(set(topics)), "asking for the topics")

    async def ask(self, node: int, request: Any, lane: Hashable = CONTROL) -> Any:
        """A broker's answer. Raises `KafkaError`."""
        try:
            # aiokafka has two names for connections to a broker; any other key is one more.
            return await self.client.send(node, request, group=lane)
        except NotImplementedError as error:
            raise IncompatibleBrokerVersion(str(error)) from error
        except KeyError as error:
            # The client forgot a connection that another request had found dead.
            raise KafkaConnectionError(f"the connection to node {node} was closed") from error

    def leader(self, place: TopicPartition) -> int:
        """The broker that leads a partition. Raises `LeaderNotAvailableError`."""
        node = self.client.cluster.leader_for_partition(place)
        if node is None or node == -1:
            raise LeaderNotAvailableError(place)
        return node

    def anyone(self) -> int:
        """Some broker. Raises `KafkaConnectionError` while none is known."""
        node = self.client.get_random_node()
        if node is None:
            raise KafkaConnectionError("no broker is known")
        return node

    async def coordinator(self, group: str) -> int:
        """The broker that keeps a group's positions and members. Raises `KafkaError`."""
        return await self.client.coordinator_lookup(CoordinationType.GROUP, group)

    def deadline(self) -> float:
        """When an operation that begins now has to end, in the event loop's time."""
        return asyncio.get_running_loop().time() + self.seconds

    async def retrying(
        self, attempt: Callable[[], Awaitable[T]], doing: str, until: float | None = None
    ) -> T:
        """Attempt until it succeeds, while its errors may pass. Raises what `explained` says, and
        `Unavailable` at the deadline `until`."""
        last: KafkaError | None = None
        pause, longest = PAUSES
        try:
            async with asyncio.timeout_at(until or self.deadline()):
                while True:
                    try:
                        if last is not None:
                            await self._refresh()
                        return await attempt()
                    except KafkaError as error:
                        if not passes(error):
                            raise
                        logger.debug("%s: %r", doing, error)
                        last = error
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, longest)
        except KafkaError as error:
            raise explained(error, doing) from error
        except TimeoutError:
            error = last or KafkaConnectionError(f"no answer within {self.seconds:g} s")
            raise explained(error, doing) from error

    async def _refresh(self) -> None:
        """Ask who leads what; when no broker that is known answers, those of the settings."""
        async with self._refreshing:
            if not await self.client.force_metadata_update():
                await self.client.bootstrap()
