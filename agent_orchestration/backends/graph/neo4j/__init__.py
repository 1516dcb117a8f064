"""The graph on a Neo4j server or cluster."""

from agent_orchestration.backends.graph.neo4j.graph import Neo4jGraph

__all__ = ["Neo4jGraph"]
