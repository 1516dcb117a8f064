"""The section `tracing` of the settings."""

from agent_orchestration.config_types import Count, HttpUrl, Section


class Tracing(Section):
    """Where spans go: `endpoint` is a collector that takes OTLP over HTTP, without the path
    `/v1/traces`; without one nothing is traced. At most `traces_per_second` begin in a process;
    those that callers began, and want to be recorded, are not counted."""

    endpoint: HttpUrl | None = None
    traces_per_second: Count = 10
