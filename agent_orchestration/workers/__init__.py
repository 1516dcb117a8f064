"""Workers: agents that claim tasks, do them and report, through the same tools as everybody.

    from agent_orchestration.workers import HeldTask, TaskError, agent

What is exported here is for users; it is loaded when it is asked for, because verbs that only look
at a plan's file need none of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_orchestration.workers.function_agent import FunctionAgent, ThreadTask, agent
    from agent_orchestration.workers.held import HeldTask, TaskError
    from agent_orchestration.workers.hosting import Host
    from agent_orchestration.workers.worker import Worker

__all__ = ["FunctionAgent", "HeldTask", "Host", "TaskError", "ThreadTask", "Worker", "agent"]

_MODULES = {
    "function_agent": ("FunctionAgent", "ThreadTask", "agent"),
    "held": ("HeldTask", "TaskError"),
    "hosting": ("Host",),
    "worker": ("Worker",),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    import importlib  # noqa: PLC0415 (start-up time)

    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"{__name__} has no {name}")
