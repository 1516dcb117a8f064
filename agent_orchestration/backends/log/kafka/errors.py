"""What Kafka's errors mean to callers: the one place that translates them."""

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidMessageError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownError,
    for_code,
)

from agent_orchestration.core.errors import Corrupt, PlatformError, Rejected, Unavailable

CREATE = "`agent-orchestration topics create`"

_FORBIDDEN = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
_UNREADABLE = (CorruptRecordException, InvalidMessageError)
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


def check(code: int) -> None:
    """Raises the `KafkaError` that an answer's error code names, if it names one."""
    if code:
        raise for_code(code)


def passes(error: KafkaError) -> bool:
    """Whether the same request may succeed in a moment. Codes that the client does not know are of
    newer brokers, and most of those say just that."""
    return error.retriable or isinstance(error, UnknownError)


def explained(error: KafkaError, doing: str) -> PlatformError:
    """The platform's error for what went wrong while `doing` something, such as "reading x/0"."""
    said = str(error)  # begins with its name
    if isinstance(error, _UNREADABLE):
        reason = f"{doing}: a record is damaged ({said}): restore it from a replica or a backup"
        return Corrupt("log_unreadable", reason)
    if isinstance(error, _TOO_LARGE):
        reason = f"{doing}: larger than the broker allows ({said}): raise max.message.bytes"
        return Rejected("record_too_large", reason)
    if isinstance(error, IncompatibleBrokerVersion):
        reason = f"{doing}: the broker's version does not fit ({said}): use Kafka 2.8 or newer"
        return Rejected("broker_version", reason)
    if isinstance(error, _FORBIDDEN):
        reason = f"{doing}: Kafka refuses it to this user ({said}): grant it, then repeat"
        return Unavailable("log_forbidden", reason)
    reason = f"{doing}: {said}. Check that the brokers are up and reachable, then repeat"
    return Unavailable("log_unavailable", reason)
