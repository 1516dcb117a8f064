"""Agent orchestration platform: event-sourced, graph-queryable, driven over MCP."""

__version__ = "0.1.0"
