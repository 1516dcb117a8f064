"""Who reads and writes what: the topics, and the pipeline as text."""

from agent_orchestration.backends.log import DAY_MS, HOUR_MS, Topic
from agent_orchestration.core.module import Registry

COMMANDS = "commands"
EVENTS = "events"
COMMAND_RESULTS = "command_results"
SYSTEM_EVENTS = "system_events"
DEAD_LETTERS = "dead_letters"
GROUP = "agent_event_processor"
PARTITIONS = 4
"""Partitions of a development installation."""


def topics(registry: Registry, partitions: int = PARTITIONS) -> list[Topic]:
    """All topics. The feeds are views of `events` where the log has views, else published."""
    week = 7 * DAY_MS
    return [
        Topic(COMMANDS, "every command", partitions, week),
        Topic(EVENTS, "the truth: every event, in its tenant's order", partitions, None),
        *(
            Topic(
                feed,
                f"feed: events of {', '.join(m.name for m in registry.modules if m.feed == feed)}",
                partitions,
                week,
                view_of=EVENTS,
                types=frozenset(name for name, its in registry.feeds.items() if its == feed),
            )
            for feed in sorted(set(registry.feeds.values()))
        ),
        Topic(COMMAND_RESULTS, "answers and hints to other processes", 16, HOUR_MS),
        Topic(SYSTEM_EVENTS, "rejections: who asked for what, and why not", 4, 14 * DAY_MS),
        Topic(DEAD_LETTERS, "malformed records, with reason and origin", 4, 30 * DAY_MS),
    ]


def describe(registry: Registry) -> str:
    """The pipeline as text: parts, then topics, then what each module contributes."""
    lines = [
        "command bus        -> commands",
        "command processor  commands -> decide -> events, system_events, dead_letters",
        "projector          events -> evolve -> graph",
        "publisher          events in the graph -> feeds, where the log has no views",
        "timer              what is due -> commands",
        "replies            command_results, to callers in other processes",
        "tools              graph -> answers",
        "analytics          feeds, system_events -> windows -> answers, metrics",
        "",
        "topics (name, partitions, retention, carries)",
    ]
    for topic in topics(registry):
        hours = None if topic.retention_ms is None else topic.retention_ms // HOUR_MS
        kept = "for ever" if hours is None else f"{hours // 24} d" if hours >= 24 else f"{hours} h"
        lines.append(f"  {topic.name:<16} {topic.partitions}  {kept:<8}  {topic.carries}")
    for module in registry.modules:
        lines += ["", f"module {module.name} (feed {module.feed})"]
        lines += [f"  entity   {cls.LABEL}" for cls in module.entities]
        lines += [f"  command  {cls.__name__}" for cls in module.decide]
        lines += [
            f"  event    {cls.__name__} v{cls.VERSION}, about {cls.ABOUT or 'the tenant'}"
            for cls in module.evolve
        ]
        lines += [f"  question {name}" for name in module.queries]
    return "\n".join(lines) + "\n"
