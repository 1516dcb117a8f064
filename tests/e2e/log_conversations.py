"""What a tenant's events may say of conversations, for the model in `log_model.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.log_chain import Chain
from tests.e2e.log_entities import Agent, Record, Task


@dataclass
class Conversation:
    """What the model knows of a conversation."""

    team: str | None
    messages: int = 0
    closed: bool = False


class Conversations(Chain):
    """A tenant's tasks, agents and teams, and what is said about and among them."""

    def __init__(self, name: str, commands: dict[tuple[int, int], Record]) -> None:
        super().__init__(name, commands)
        self.tasks: dict[str, Task] = {}
        self.agents: dict[str, Agent] = {}
        self.teams: dict[str, set[str] | None] = {}
        self.conversations: dict[str, Conversation] = {}
        self.spoken: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "ConversationOpened": self._opened,
            "MessageSent": self._sent,
            "ConversationClosed": self._closed,
        }

    def _opened(self, _type: str, event: dict[str, Any]) -> None:
        opened, team = event["conversation_id"], event["team_id"]
        if opened in self.conversations:
            self.wrong("ids are unique", f"conversation {opened} is opened again")
        if team is not None and self.teams[team] is None:
            self.wrong("disbanded teams get no work", f"conversation {opened} of {team}")
        if event["task_id"] is not None and event["task_id"] not in self.tasks:
            self.wrong("unknown id or field", f"conversation {opened}: task {event['task_id']}")
        self.conversations[opened] = Conversation(team)
        self._take_part(opened, event["agent_id"])
        if event["message"] is not None:
            self._say(opened, 1, event["message"])

    def _sent(self, _type: str, event: dict[str, Any]) -> None:
        self._take_part(event["conversation_id"], event["agent_id"])
        self._say(event["conversation_id"], event["number"], event["message"])

    def _say(self, name: str, number: int, message: dict[str, Any]) -> None:
        conversation = self.conversations[name]
        if conversation.closed:
            self.wrong("finished is final", f"conversation {name} was closed")
        if number != conversation.messages + 1:
            detail = f"{name}: {number} after {conversation.messages}"
            self.wrong("messages are counted", detail)
        if message["reply_to"] is not None and not 0 < message["reply_to"] < number:
            self.wrong("replies follow", f"{name}: {number} replies to {message['reply_to']}")
        self._take_part(name, message["to"])
        conversation.messages = number

    def _closed(self, _type: str, event: dict[str, Any]) -> None:
        conversation = self.conversations[event["conversation_id"]]
        if conversation.closed:
            self.wrong("finished is final", f"{event['conversation_id']} was closed before")
        conversation.closed = True

    def _take_part(self, name: str, agent_id: str | None) -> None:
        if agent_id is None:
            return
        if self.agents[agent_id].retired:
            self.wrong("members are at work", f"{agent_id} is retired and takes part in {name}")
        team = self.conversations[name].team
        if team is not None and agent_id not in (self.teams[team] or ()):
            self.wrong("members only", f"{agent_id} takes part in {name} of {team}")
