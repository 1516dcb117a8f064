"""The statements that write the graph, built from declarations. Both engines run them."""

import re
from collections.abc import Iterable
from functools import cache

from agent_orchestration.backends.graph import LinkKey
from agent_orchestration.core.entities import Entity


@cache
def upsert_nodes(label: str) -> str:
    return f"UNWIND $rows AS row MERGE (n:{_name(label)} {{id: row.id}}) SET n = row"

@cache
def remove_nodes(label: str) -> str:
    return f"UNWIND $ids AS wanted MATCH (n:{_name(label)} {{id: wanted}}) DETACH DELETE n"

@cache
def upsert_links(key: LinkKey) -> str:
    kind, start, end = (_name(part) for part in key)
    return (f"UNWIND $rows AS row MATCH (a:{start} {{id: row.from}}) MATCH (b:{end} {{id: row.to}})"
            f" MERGE (a)-[r:{kind}]->(b) SET r = row.props")

@cache
def remove_links(key: LinkKey) -> str:
    kind, start, end = (_name(part) for part in key)
    return (f"UNWIND $rows AS row MATCH (a:{start} {{id: row.from}})-[r:{kind}]->"
            f"(b:{end} {{id: row.to}}) DELETE r")

def _name(text: str) -> str:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text): raise ValueError(text)
    return text
def schema(entities):
    out=[]
    for l in [e.LABEL for e in entities]+["Tenant","Event","Checkpoint"]:
        out.append(f"CREATE CONSTRAINT {l.lower()}_id IF NOT EXISTS FOR (n:{l}) REQUIRE n.id IS UNIQUE")
    for e in entities:
        out += [f"CREATE INDEX {i.name} IF NOT EXISTS FOR (n:{e.LABEL}) ON ({', '.join('n.'+p for p in i.properties)})" for i in e.INDEXES]
    out += ["CREATE INDEX event_key IF NOT EXISTS FOR (n:Event) ON (n.receipt_key)"]
    return out
