"""Values that no argument may have, by the argument's name; and a malformed-call generator."""

import random
from collections.abc import Iterator
from typing import Any, cast

from agent_orchestration.core.tool import Tool

HELD = {"task_id": "running", "agent_id": "busy", "attempt": 1}
#: A call for each tool that changes something, valid but for what a case replaces.
VALID: dict[str, dict[str, Any]] = {
    "register_agent": {"name": "A", "kind": "llm", "capabilities": []},
    "update_agent": {"agent_id": "idle", "name": "other"},
    "drain_agent": {"agent_id": "idle"},
    "retire_agent": {"agent_id": "idle"},
    "heartbeat": {"agent_id": "busy", "leases": [{"task_id": "running", "attempt": 1}]},
    "define_capability": {"name": "python"},
    "raise_rules": {},
    "create_task": {"id": "new", "title": "T"},
    "claim_task": {"agent_id": "idle"},
    "assign_task": {"task_id": "ready", "agent_id": "idle"},
    "cancel_task": {"task_id": "ready"},
    "start_task": HELD,
    "report_progress": {**HELD, "progress": 1},
    "complete_task": HELD,
    "fail_task": {**HELD, "error": "broken"},
    "form_team": {"goal": "G", "members": [{"agent_id": "idle"}]},
    "update_team": {"team_id": "crew", "goal": "other"},
    "disband_team": {"team_id": "crew"},
    "define_template": {"name": "writer", "kind": "llm", "capabilities": []},
    "instantiate_agent": {"template": "writer"},
    "submit_plan": {"title": "P", "tasks": [{"id": "a"}]},
    "open_conversation": {"topic": "T", "text": "x"},
    "send_message": {"conversation_id": "talk", "text": "x"},
    "close_conversation": {"conversation_id": "talk"},
    "add_artifact": {**HELD, "name": "n", "content": "x"},
    "report_circuit_breaker": {"agent_id": "idle", "service": "s", "state": "closed"},
    "set_budget": {"limit_micros": 5},
    "reserve_spend": {**HELD, "id": "new", "model": "m", "amount_micros": 1},
    "settle_spend": {"spend_id": "call", "agent_id": "busy", "cost_micros": 1},
    "release_spend": {"spend_id": "call", "agent_id": "busy"},
    "plan_goal": {"goal": "G"},
    "work_together": {"way": "lead", "goal": "G", "options": {}},
    "approve_plan": {"task_id": "drafted"},
    "add_user": {"id": "new", "password": "correct horse", "roles": ["viewer"]},
    "update_user": {"user_id": "ada", "name": "other"},
}


def nested(levels: int) -> Any:
    """A list in a list in a list …"""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


_OTHER_TYPES: list[Any] = [5, True, [], {}]
_IDS: list[Any] = [
    *("", " ", "..", "../etc/passwd", "a/b", "acme/x", "events/0", "-x", "a b", "caf\u00e9"),
    *("x" * 129, "a\n", "a\x00b", "a'b", "$x", "%2e", *_OTHER_TYPES),
]
_LINE: list[Any] = ["", "a\x00b", "a\x1fb", "a\nb", "a\x7f", "x" * 501, *_OTHER_TYPES]
_TEXT: list[Any] = ["a\x00b", "a\x08b", "x" * 10_001, *_OTHER_TYPES]
_NUMBER: list[Any] = [-1, 2**63, 10**400, 1e308, "many", "", True, [], {}]
_COUNT: list[Any] = [0, 0.5, *_NUMBER]
_AMOUNT: list[Any] = [0.5, 10**15 + 1, *_NUMBER]
_DURATION: list[Any] = [86_401, *_COUNT]
_FLAG: list[Any] = ["perhaps", 2, -1, 0.5, [], {}]
_JSON: list[Any] = [
    *(nested(101), {"a": nested(100)}, 2**63, -(2**63) - 1, [{"a": [10**30]}], {"$blob": "x"})
]
_ITEMS: list[Any] = ["x", 5, True, {}, [5], [[]], [None], [{}], '["', "[5]"]
_LABELS: list[Any] = [
    *("x", 5, True, ["a"], [["a", "b"]], {"a": {"b": "c"}}, {"a": ["x", 1]}, {"a": 1}, {"a": None}),
    *({"": "x"}, {"a=b": "x"}, {"a\n": "x"}, {"a\x00": "x"}, {"k" * 65: "x"}, {"k": "x" * 257}),
    *({"k": "a\x00"}, {str(number): "x" for number in range(51)}, '{"a": {"b": "c"}}'),
]
_LEVELS: list[Any] = [2, -0.1, "high", True, None, 2**63, 1e308]


def _levelled(name: str, most: int) -> list[Any]:
    """Bad lists of capabilities, whose names are under `name`."""
    wrong_ids = [[{name: one}] for one in ("", "a/b", "x" * 129, 5, None)]
    wrong_levels = [[{name: "a", "level": level}] for level in _LEVELS]
    twice = [{name: "a"}, {name: "a", "level": 0.5}]
    many = [{name: f"a{number}"} for number in range(most + 1)]
    return [*_ITEMS, *wrong_ids, *wrong_levels, [{name: "a", "bogus": 1}], twice, many]


_MEMBERS: list[Any] = [
    *_ITEMS,
    *([{"agent_id": one}] for one in ("", "a/b", "x" * 129, 5, None, "absent", "retired")),
    *([{"agent_id": "idle", "role": one}] for one in ("", "a\nb", "x" * 257, 5, None)),
    [{"agent_id": "idle", "bogus": 1}],
    [{"agent_id": "idle"}, {"agent_id": "idle", "role": "lead"}],
    [{"agent_id": f"a{number}"} for number in range(1001)],
]
_DEPENDENCIES: list[Any] = [
    *(["absent"], ["a/b"], [{"task_id": "absent"}], [{"task_id": "b", "on_failure": "x"}]),
    *(["b", "b"], ["a"], ["b", {"task_id": "b"}], ["cancelled"], "b", 5, [5]),
]
_TASKS: list[Any] = [
    *(one for one in _ITEMS if one != {}),
    *([], [{"id": "a"}, {"id": "a"}], [{"id": "a", "bogus": 1}]),
    *([{"id": one}] for one in ("", "a/b", "x" * 64, "a\n", 5, None)),
    *([{"id": "a", "title": one}] for one in ("", "a\nb", "x" * 501, 5)),
    *([{"id": "a", "depends_on": one}, {"id": "b"}] for one in _DEPENDENCIES),
    *([{"id": "a", "requires": one}] for one in ([{"capability": "a", "level": 2}], "x", [5])),
    [{"id": "a", "requires": [{"capability": "a"}, {"capability": "a"}]}],
    *([{"id": "a", "payload": one}] for one in ("x" * 70_000, {"$blob": "x"}, 2**63)),
    *([{"id": "a", "lease_seconds": one}] for one in (0, 86_401, "x", True)),
    *([{"id": "a", "retry": one}] for one in (5, {"factor": 0}, {"bogus": 1})),
    [{"id": "a", "depends_on": ["b"]}, {"id": "b", "depends_on": ["a"]}],
]
_VERSION: list[Any] = [1_000_001, *_COUNT]


BAD: dict[str, list[Any]] = {
    **dict.fromkeys(("id", "agent_id", "task_id", "team_id", "spend_id", "user_id"), _IDS),
    "password": ["", "too short", "x" * 257, "a\x00" * 9, "horse\n" * 9, *_OTHER_TYPES],
    "roles": [*_ITEMS, [], ["agent"], ["admin", ""], ["admin"] * 5],
    **{key: ["absent", *_IDS] for key in ("conversation_id", "to")},
    **dict.fromkeys(("name", "title", "category", "reason", "error_type"), _LINE),
    **dict.fromkeys(("goal", "topic", "model", "service"), _LINE),
    "state": ["broken", "", *_OTHER_TYPES],
    "content": _OTHER_TYPES,
    "encoding": ["hex", "", *_OTHER_TYPES],
    "media_type": ["text", "Text/plain", "text/plain; a=b", "text/\n", *_LINE],
    **dict.fromkeys(("members", "add"), _MEMBERS),
    "remove": [*_ITEMS, ["a/b"], [""], [f"a{number}" for number in range(1001)]],
    **{key: [1001, *_COUNT] for key in ("min_size", "max_size")},
    "template": ["absent", "a:1", "-a", "x" * 101, "a\n", *_IDS[:1], *_OTHER_TYPES],
    "version": _VERSION,
    "tasks": _TASKS,
    "form_team": [
        *("x", 5, True, [], {"bogus": 1}, {"goal": ""}, {"max_size": 0}, {"max_size": "x"}),
        *({"max_size": 1001}, {"max_size": True}, {"goal": "a\nb"}, {}),
    ],
    **dict.fromkeys(("description", "error"), _TEXT),
    **{key: ["", *_TEXT] for key in ("text", "comment")},
    **{key: ["never", "", 5, True, []] for key in ("approval", "way")},
    "replans": [11, 0.5, *_NUMBER],
    "options": [*("x", 5, True, [], nested(200)), {"a": 2**63}],
    **{key: [2**31 + 1, *_COUNT] for key in ("reply_to", "question")},
    "idempotency_key": ["", "a\x00b", "a\nb", "x" * 201, *_OTHER_TYPES],
    **dict.fromkeys(("priority", "attempt", "max_concurrency"), _COUNT),
    **dict.fromkeys(("lease_seconds", "heartbeat_seconds"), _DURATION),
    **dict.fromkeys(("wait_seconds", "retry_after_seconds"), _NUMBER),
    **dict.fromkeys(
        ("start", "brief", "force", "draining", "dedicated", "retryable", "approved", "disabled"),
        _FLAG,
    ),
    **dict.fromkeys(("limit_micros", "amount_micros", "cost_micros", "milliseconds"), _AMOUNT),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), _AMOUNT),
    "cached_tokens": [1, *_AMOUNT],
    "on_exceeded": ["wait", "", 5, True, []],
    "labels": _LABELS,
    **dict.fromkeys(("payload", "progress", "result", "settings", "data"), _JSON),
    "kind": ["robot", "", 5, True, []],
    "capabilities": _levelled("name", 200),
    "requires": _levelled("capability", 50),
    "depends_on": [
        *_ITEMS,
        *([one] for one in ("absent", "a/b", "", "x" * 129, "new")),
        *([{"task_id": one}] for one in ("absent", "a/b", 5, None, "new")),
        [{"task_id": "ready", "on_failure": "ignore"}],
        [{"task_id": "ready", "bogus": 1}],
        ["ready", "ready"],
        ["ready", {"task_id": "ready", "on_failure": "cancel"}],
        [f"a{number}" for number in range(1001)],
    ],
    "retry": [
        *("5", 5, True, [], {"bogus": 1}, {"max_attempts": -1}, {"max_attempts": True}),
        *({"max_attempts": 2**63}, {"factor": 0}, {"factor": 0.5}, {"initial_seconds": -1}),
        *({"initial_seconds": 1e308}, {"max_seconds": "long"}, {"non_retryable": "x"}),
        *({"non_retryable": [""]}, {"non_retryable": ["a\x00"]}, {"non_retryable": ["x"] * 51}),
    ],
    "leases": [
        *(one for one in _ITEMS if one != {}),
        *([{"task_id": one, "attempt": 1}] for one in ("", "a/b", 5)),
        *([{"task_id": "a", "attempt": one}] for one in (0, -1, 2**63, True, "x", None)),
        [{"task_id": "a"}],
        [{"task_id": "a", "attempt": 1, "bogus": 1}],
        [{"task_id": "a", "attempt": 1}] * 10_001,
    ],
}


#: Where a name means something else for one tool.
SPECIAL = {
    ("define_capability", "name"): _IDS,
    **{key: ["", *_TEXT] for key in (("plan_goal", "goal"), ("work_together", "goal"))},
    ("add_artifact", "name"): ["..", "/a", "a/", "a//b", "../a", "a/./b", "a\\b", "c:a", *_LINE],
    ("define_template", "name"): [one for one in BAD["template"] if one != "absent"],
}


def bad_calls(tool: Tool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The argument to blame, and the arguments."""
    valid = VALID[tool.name]
    required = cast("list[str]", tool.input_schema.get("required", []))
    for name in tool.arguments.model_fields:
        values = SPECIAL.get((tool.name, name), BAD[name])
        for value in values:
            yield name, {**valid, name: value}
    for name in required:
        yield name, {one: value for one, value in valid.items() if one != name}
        yield name, {**valid, name: None}
    for name in ("bogus", "Title", "tenant", "__class__", ""):
        yield name, {**valid, name: "x"}


_ANYTHING: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31 + 1, 2**63, -(2**63) - 1, 10**30, 0.5, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x" * 129, "x" * 600, "x" * 70_000),
    *("\ud800", "a\x00b", "caf\u00e9", "a/b", "..", "1", "true", "[]", "{}", '["a"]', "[[", "null"),
    *([], {}, [None], [[]], [1, "a"], ["a", "a"], {"a": 1}, {"a": {"b": "c"}}, {"\ud800": "x"}),
    *([{}], nested(90), nested(150), nested(5000), "[" * 100_000, b"bytes", {1: 2}, object()),
]


def malformed(tool: Tool, arguments: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The arguments with one or two places replaced by something else, anywhere inside."""
    made = dict(arguments)
    names = [*tool.arguments.model_fields, "bogus", "\ud800"]
    for name in chance.sample(names, chance.choice((1, 1, 2))):
        value = made.get(name)
        if isinstance(value, list) and value and chance.random() < 0.5:
            made[name] = [_bent(cast("Any", value)[0], chance)]
        else:
            made[name] = chance.choice(_ANYTHING)
    return made


def _bent(item: Any, chance: random.Random) -> Any:
    """A list's item with one of its parts replaced."""
    if not isinstance(item, dict):
        return chance.choice(_ANYTHING)
    parts = cast("dict[str, Any]", item)
    return {**parts, chance.choice([*parts, "bogus"]): chance.choice(_ANYTHING)}
