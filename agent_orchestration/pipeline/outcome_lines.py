"""What became of commands and events: counted, and a line of the log for each.

There are thousands a second of them where much is going on, so lines are for DEBUG; messages, which
somebody thought about for seconds, are not that many.
"""

import logging

from agent_orchestration import measures
from agent_orchestration.core.folding import Folded
from agent_orchestration.domain.conversations.events import ConversationOpened, MessageSent
from agent_orchestration.domain.conversations.model import Message
from agent_orchestration.logs import command_fields, event_fields
from agent_orchestration.pipeline.deciding import Outcome

logger = logging.getLogger(__name__)


def note_settled(outcome: Outcome) -> None:
    """A command was decided, and what came of it is in the log."""
    envelope, result = outcome.asked.envelope, outcome.result
    status = "repeated" if result.repeated else result.status
    measures.COMMANDS.add(envelope.type, status)
    if result.error is not None:
        measures.REJECTIONS.add(result.error["code"])
    if logger.isEnabledFor(logging.DEBUG):
        _log_settled(outcome)


def _log_settled(outcome: Outcome) -> None:
    envelope, result = outcome.asked.envelope, outcome.result
    extra = {"command": envelope.type, "outcome": result.status, "seq": result.seq}
    if result.error is not None:
        extra["code"] = result.error["code"]
    for name in ("agent_id", "task_id"):
        if (about := getattr(outcome.asked.command, name, None)) is not None:
            extra[name] = about
    with command_fields(envelope):
        logger.debug("%s: %s", envelope.type, result.status, extra=extra)


def log_folded(folded: Folded, now: int) -> None:
    """The graph has an event. `now`: milliseconds since the epoch."""
    envelope = folded.envelope
    if logger.isEnabledFor(logging.DEBUG):
        extra = {"event": envelope.type, "seq": envelope.seq}
        with event_fields(envelope):
            logger.debug("%s is in the graph", envelope.type, extra=extra)
    if isinstance(folded.event, ConversationOpened | MessageSent):
        with event_fields(envelope):
            _log_delivered(folded, max(now - envelope.at, 0))


def _log_delivered(folded: Folded, milliseconds: int) -> None:
    """From now on whoever it is for can read it; `recipient` is None where that is everybody."""
    for touched in folded.touched.values():
        message = touched.entity
        if isinstance(message, Message):
            extra = {
                "message_id": message.id,
                "recipient": message.to,
                "delivery_time_ms": milliseconds,
            }
            measures.MESSAGE_SECONDS.observe(milliseconds / 1000)
            logger.info("message %s is delivered", message.id, extra=extra)
