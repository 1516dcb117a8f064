"""The command line. One file per verb or noun; nothing heavy is imported before a verb needs it."""

from agent_orchestration.cli.program import main

__all__ = ["main"]
