"""The statements that make constraints and indexes, built from declarations, and what is known of
them in a Neo4j database. Both engines run the former."""

from collections.abc import Iterable
from functools import cache

from agent_orchestration.backends.graph.statements import (
    CHECKPOINT_LABEL,
    PLATFORM_LABELS,
    plain,
)
from agent_orchestration.core.entities import Entity, Index

PLATFORM_INDEXES = (
    ("Tenant", Index("tenant_next_due_index", ("next_due",))),
    ("Event", Index("event_receipt_key_index", ("receipt_key",))),
    ("Event", Index("event_tenant_seq_index", ("tenant", "seq"))),
    ("Event", Index("event_tenant_at_index", ("tenant", "at"))),
)
#: The indexes that there are, those of constraints under the constraints' names: `{name}`.
INDEX_NAMES = "SHOW INDEXES YIELD name RETURN name AS name"
AWAIT_INDEXES = "CALL db.awaitIndexes($seconds)"

MIGRATION_CONSTRAINT = (
    "CREATE CONSTRAINT migration_number IF NOT EXISTS FOR (n:Migration) REQUIRE n.number IS UNIQUE"
)
MIGRATIONS = (
    "MATCH (m:Migration) RETURN m.number AS number, m.name AS name, m.at AS at ORDER BY number"
)
RECORD_MIGRATION = "MERGE (m:Migration {number: $number}) SET m.name = $name, m.at = datetime()"
FORGET_MIGRATION = "MATCH (m:Migration {number: $number}) DELETE m"


def constraint_name(label: str) -> str:
    """The name of a label's constraint, and of the index that goes with it."""
    return f"{plain(label).lower()}_id"


@cache
def constraint(label: str) -> str:
    """The `id` of a label's nodes is unique."""
    return (
        f"CREATE CONSTRAINT {constraint_name(label)} IF NOT EXISTS"
        f" FOR (n:{plain(label)}) REQUIRE n.id IS UNIQUE"
    )


@cache
def index(label: str, declared: Index) -> str:
    """An index over one or more properties, for equality and ranges."""
    properties = ", ".join(f"n.{plain(name)}" for name in declared.properties)
    return (
        f"CREATE INDEX {plain(declared.name)} IF NOT EXISTS"
        f" FOR (n:{plain(label)}) ON ({properties})"
    )


@cache
def index_of_last(label: str, declared: Index) -> str:
    """An index over the last of its properties, the selective one, for equality and ranges."""
    return (
        f"CREATE RANGE INDEX {plain(declared.name)} IF NOT EXISTS"
        f" FOR (n:{plain(label)}) ON (n.{plain(declared.properties[-1])})"
    )


def drop(made: str) -> str:
    """The statement that drops what the other one made: a named constraint or index."""
    kind = "CONSTRAINT" if made.startswith("CREATE CONSTRAINT") else "INDEX"
    name = made.partition(" IF NOT EXISTS")[0].rpartition(" ")[2]
    return f"DROP {kind} {plain(name)} IF EXISTS"


def schema(entities: Iterable[type[Entity]]) -> dict[str, str]:
    """All constraints and indexes as declared: name -> statement, each harmless to repeat."""
    declared = tuple(entities)
    indexes = {one.name: index(label, one) for label, one in declared_indexes(declared)}
    return {**constraints(declared), **indexes}


def constraints(entities: Iterable[type[Entity]]) -> dict[str, str]:
    """The constraints of all labels, the platform's own included: name -> statement."""
    labels = (*(entity.LABEL for entity in entities), *PLATFORM_LABELS, CHECKPOINT_LABEL)
    return {constraint_name(label): constraint(label) for label in labels}


def declared_indexes(entities: Iterable[type[Entity]]) -> list[tuple[str, Index]]:
    """(label, index) of all indexes, the platform's own included."""
    found = [(entity.LABEL, one) for entity in entities for one in entity.INDEXES]
    return [*found, *PLATFORM_INDEXES]
