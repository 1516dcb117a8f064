"""Entities and their shape in the graph, declared once.

From an entity's fields and its `RELATIONSHIPS` come the rows that are written, the loading back,
the constraints and indexes, and the schema page. Field types decide the stored form:

    str, int, bool, float     as they are (int64, finite)
    Time                      milliseconds since the epoch in memory, datetime in the graph
    Level                     thousandths in memory (exact), 0.0 - 1.0 in the graph
    Labels                    dict in memory, sorted list of "key=value" in the graph
    tuple[str, ...]           list of text
    Json                      canonical JSON text, or a reference to a blob
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from agent_orchestration.core.storable import SHORT_TEXT

Time = Annotated[int, msgspec.Meta(extra={"kind": "time"})]
Level = Annotated[int, msgspec.Meta(ge=0, le=1000, extra={"kind": "level"})]
Labels = Annotated[dict[str, str], msgspec.Meta(extra={"kind": "labels"})]
Json = Annotated[str, msgspec.Meta(extra={"kind": "json"})]

Row = dict[str, Any]
Link = tuple[str, Row]

DEFAULT_TENANT = "default"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def node_id(tenant: str, entity_id: str) -> str:
    """The `id` of a node. It is unique in the whole graph: the default tenant's are bare."""
    return entity_id if tenant == DEFAULT_TENANT else f"{tenant}/{entity_id}"


def entity_id(tenant: str, node: str) -> str:
    """The inverse of `node_id` for a known tenant."""
    return node if tenant == DEFAULT_TENANT else node[len(tenant) + 1 :]


def to_datetime(milliseconds: int) -> datetime:
    """Milliseconds since the epoch as an aware datetime, exactly."""
    return _EPOCH + milliseconds * _MILLISECOND


def to_milliseconds(moment: datetime) -> int:
    """The inverse of `to_datetime`."""
    return (moment - _EPOCH) // _MILLISECOND


class Index(msgspec.Struct, frozen=True):
    """A named graph index over properties of one label."""

    name: str
    properties: tuple[str, ...]


class Relationship(msgspec.Struct, frozen=True):
    """One relationship type, read from `field`.

    `field` holds a tuple of structs (or one struct, or None); `key` names the attribute with the
    target's id, or is "" where the field holds plain ids. `properties` are copied to the
    relationship and typed like entity fields. `reverse` makes it lead from `to` to the entity
    that holds the field.
    """

    type: str
    field: str
    to: str
    key: str = ""
    properties: tuple[str, ...] = ()
    reverse: bool = False


class Entity(msgspec.Struct, kw_only=True, gc=False):
    """Something with an identity, kept as one node. Only `evolve` changes it.

    What a field holds is replaced, never changed in place, so a shallow copy stays as it was.
    Nothing in an entity refers back to it, so the garbage collector need not know of entities.
    """

    LABEL: ClassVar[str]
    RELATIONSHIPS: ClassVar[tuple[Relationship, ...]] = ()
    INDEXES: ClassVar[tuple[Index, ...]] = ()
    #: Attributes computed from the others that the graph shows but loading ignores.
    DERIVED: ClassVar[tuple[str, ...]] = ()
    #: Cypher condition on `n` that is true for every entity with `is_live`.
    LIVE: ClassVar[str] = "true"

    id: str

    def is_live(self) -> bool:
        """Whether the entity must stay in memory; the others are loaded when needed."""
        return True


Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _labels_out(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={labels[key]}" for key in sorted(labels)]


def _labels_in(pairs: list[str]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs)


_OUT: dict[str, Convert] = {
    "time": to_datetime,
    "level": lambda thousandths: thousandths / 1000,
    "labels": _labels_out,
    "texts": list[Any],
}
_IN: dict[str, Convert] = {
    "time": to_milliseconds,
    "level": lambda share: round(share * 1000),
    "labels": _labels_in,
    "texts": tuple[Any, ...],
}
_WORDS = {
    "time": "datetime",
    "level": "float, 0 to 1",
    "labels": "list of key=value",
    "texts": "list of text",
    "json": "JSON text",
}
_TYPES: dict[Any, str] = {str: "text", int: "integer", bool: "boolean", float: "float"}


def _kind(hint: Any) -> str:
    """The stored kind of a field's type; `X | None` counts as X."""
    for part in (hint, *get_args(hint)):
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.extra:
                return str(meta.extra["kind"])
    for part in (hint, *get_args(hint)):
        if part in _TYPES:
            return _TYPES[part]
        if get_origin(part) is tuple:
            return "texts"
        if get_origin(part) is Literal:
            return "text"
    raise TypeError(f"no stored form for {hint!r}")


class Field(msgspec.Struct, frozen=True):
    """A property as stored: its name, kind, and conversions to and from the graph."""

    name: str
    kind: str
    out: Convert
    back: Convert

    @property
    def stored(self) -> str:
        """The kind in words, as the schema shows it."""
        return _WORDS.get(self.kind, self.kind)


@cache
def json_fields(cls: type[Any]) -> tuple[str, ...]:
    """The names of a struct's fields that hold JSON text."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        name for name in cls.__struct_fields__ if Json in (hints[name], *get_args(hints[name]))
    )


def _fields(cls: type[Any], names: tuple[str, ...]) -> tuple[Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    kinds = [(name, _kind(hints[name])) for name in names]
    return tuple(Field(n, k, _OUT.get(k, _same), _IN.get(k, _same)) for n, k in kinds)


class Shape:
    """An entity class compiled to functions between it and rows of the graph."""

    def __init__(self, entity: type[Entity]) -> None:
        self.entity = entity
        self.label = entity.LABEL
        self.indexed = frozenset(name for index in entity.INDEXES for name in index.properties)
        linked = {r.field for r in entity.RELATIONSHIPS}
        names = tuple(f for f in entity.__struct_fields__ if f != "id" and f not in linked)
        self.fields = _fields(entity, names)
        #: Properties whose stored form is what the field holds, and the others.
        plain = (f.name for f in self.fields if f.out is _same)
        self._plain = (*plain, *entity.DERIVED)
        self._converted = tuple((f.name, f.out) for f in self.fields if f.out is not _same)
        self._links = tuple((r, self._link_fields(r)) for r in entity.RELATIONSHIPS)
        hints = get_type_hints(entity)
        self._single = tuple(f for f in linked if get_origin(hints[f]) is not tuple)

    def _link_fields(self, relationship: Relationship) -> tuple[Field, ...]:
        if not relationship.properties:
            return ()
        hint = get_type_hints(self.entity)[relationship.field]
        struct = next(a for a in _flatten(hint) if hasattr(a, "__struct_fields__"))
        return _fields(struct, relationship.properties)

    def link_kinds(self, relationship: Relationship) -> dict[str, str]:
        """The kinds of a relationship's properties by name, for the schema page."""
        return {f.name: f.stored for r, fields in self._links if r is relationship for f in fields}

    def row(self, tenant: str, entity: Entity) -> Row:
        """The node's properties, `id` and `tenant` included; absent values are left out."""
        row: Row = {"id": node_id(tenant, entity.id), "tenant": tenant}
        for name in self._plain:
            value = getattr(entity, name)
            if value is not None:
                row[name] = value
        for name, out in self._converted:
            value = getattr(entity, name)
            if value is not None:
                row[name] = out(value)
        return row

    def has_short_names(self, tenant: str, entity: Entity) -> bool:
        """Whether the texts that are indexed are short, without a look at the others."""
        indexed = [getattr(entity, name) for name in self.indexed]
        texts = [tenant + entity.id, *(text for text in indexed if isinstance(text, str))]
        return max(map(len, texts)) <= SHORT_TEXT

    def links(self, tenant: str, index: int, held: Any) -> dict[str, Row]:
        """The relationships of one field's value: target node id -> properties."""
        relationship, fields = self._links[index]
        if held is None:
            return {}
        found: dict[str, Row] = {}
        for one in cast("tuple[Any, ...]", held) if isinstance(held, tuple) else (held,):
            target = getattr(one, relationship.key) if relationship.key else one
            found[node_id(tenant, target)] = {
                f.name: f.out(v) for f in fields if (v := getattr(one, f.name)) is not None
            }
        return found

    def load(self, tenant: str, row: Row, links: Mapping[str, list[Link]]) -> Entity:
        """The entity back from its node's properties and its relationships by type."""
        values: Row = {"id": entity_id(tenant, row["id"])}
        for field in self.fields:
            value = row.get(field.name)
            if value is not None:
                values[field.name] = field.back(value)
        for relationship, fields in self._links:
            found = sorted(links.get(relationship.type, ()))
            loaded = tuple(
                self._link_back(relationship, fields, entity_id(tenant, target), properties)
                for target, properties in found
            )
            values[relationship.field] = loaded
        for name in self._single:
            one = values[name]
            values[name] = one[0] if one else None
        return msgspec.convert(values, self.entity)

    @staticmethod
    def _link_back(rel: Relationship, fields: tuple[Field, ...], target: str, row: Row) -> Any:
        if not rel.key:
            return target
        loaded = {f.name: f.back(v) for f in fields if (v := row.get(f.name)) is not None}
        return {rel.key: target, **loaded}


def _flatten(hint: Any) -> list[Any]:
    found = [hint]
    for part in get_args(hint):
        found += _flatten(part)
    return found


def shape_of(entity: type[Entity]) -> Shape:
    """The compiled shape of an entity class, made once."""
    if entity not in _SHAPES:
        _SHAPES[entity] = Shape(entity)
    return _SHAPES[entity]


_SHAPES: dict[type[Entity], Shape] = {}
