"""The embedded log on one SQLite file."""

from agent_orchestration.backends.log.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]
