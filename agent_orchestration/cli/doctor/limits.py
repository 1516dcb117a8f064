"""Preflight: how much may be asked of the platform, and how much it may take."""

import sys
from pathlib import Path

from agent_orchestration.cli.doctor.check import Check

LEAST_FILES = 4096
"""Connections, the log's files and those of the graph, with room."""
_MEGABYTE = 1024**2
_CGROUP = Path("/sys/fs/cgroup")
_NONE = 2**60
"""What version 1 of control groups says where there is no limit is about 2**63."""


def rate_limits() -> Check:
    """What is refused when there is too much of it."""
    from agent_orchestration.pipeline.command_bus import LAG_LIMIT  # noqa: PLC0415 (start-up time)

    detail = (
        f"new work is refused (busy) from {LAG_LIMIT:,} waiting commands of a partition on, and"
        " who fails to log in has to wait; limits for each client are not seen from here"
    )
    remedy = "set them in the proxy before the servers, such as an ingress"
    return Check("rate limits", "unchecked", detail, remedy)


def resource_limits(cgroup: Path = _CGROUP) -> Check:
    """What this process may take; the others of the same image have the same where their containers
    have the same settings. `cgroup`: where the kernel shows limits of a group of processes."""
    name, remedy = "resource limits", "give each container limits of memory and processors"
    files = _most_files()
    memory, processors = _memory(cgroup), _processors(cgroup)
    detail = (
        f"of this process: {memory or 'no limit'} of memory, {processors or 'no limit'} of"
        f" processors, {files or 'no limit'} of open files"
    )
    if files is not None and files < LEAST_FILES:
        return Check(name, "warn", detail, f"allow {LEAST_FILES} open files (ulimit -n)")
    return Check(name, "ok", detail) if memory else Check(name, "warn", detail, remedy)


def _most_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 (there is none on Windows)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _memory(cgroup: Path) -> str | None:
    """In version 2 of control groups, else in version 1."""
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _text(cgroup / file)
        if text.isdecimal() and int(text) < _NONE:
            return f"{int(text) / _MEGABYTE:,.0f} MB"
    return None


def _processors(cgroup: Path) -> str | None:
    quota, _, period = _text(cgroup / "cpu.max").partition(" ")
    if not quota:
        quota = _text(cgroup / "cpu/cpu.cfs_quota_us")
        period = _text(cgroup / "cpu/cpu.cfs_period_us")
    if not (quota.isdecimal() and period.isdecimal()):
        return None
    return f"{int(quota) / int(period):g}"


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        return ""
