"""Write a JSON Schema for every kind of Kubernetes' API, in the form that kubeconform reads, from
the OpenAPI file of its sources, and for those that CustomResourceDefinitions in a folder add to it:
`api_schemas.py SWAGGER DEFINITIONS FOLDER`.

Nothing but what the API knows is allowed, and every schema stands alone.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PREFIX = "#/definitions/"
#: What the OpenAPI file says less of than the API accepts.
ALSO = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}


def strict(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """A definition that allows no other properties than those it names."""
    if name in ALSO:
        return ALSO[name]
    closed = {"additionalProperties": False} if "properties" in definition else {}
    return {**definition, **closed}


def named(schema: Any) -> set[str]:
    """The definitions that a schema points to."""
    if isinstance(schema, list):
        return set().union(*map(named, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"].removeprefix(PREFIX)} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(named, schema.values()))


def needed(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A definition and all that it is made from."""
    found: dict[str, Any] = {}
    open_ends = {name}
    while open_ends:
        one = open_ends.pop()
        found[one] = definitions[one]
        open_ends |= named(definitions[one]) - set(found)
    return found


class Loader(yaml.SafeLoader):
    """Takes the sign `=` for text, as everybody does but YAML 1.1."""


Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_scalar)


def closed(schema: Any) -> Any:
    """The same, with no other properties than those that are named."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may have that name, too.
    is_object = schema.get("type") == "object" and "properties" in schema
    rest = {"additionalProperties": False} if is_object else {}
    return {**rest, **{name: closed(one) for name, one in schema.items()}}


def added(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kinds that a CustomResourceDefinition adds, by the names of their files."""
    spec = yaml.load(path.read_text("utf-8"), Loader)["spec"]
    for version in spec["versions"]:
        parts = (spec["names"]["singular"], spec["group"].partition(".")[0], version["name"])
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        yield "-".join(parts), schema


def main() -> None:
    """One file for each kind: `deployment-apps-v1.json`, `service-v1.json`."""
    swagger, custom, folder = map(Path, sys.argv[1:])
    found = json.loads(swagger.read_text("utf-8"))["definitions"]
    definitions = {name: strict(name, one) for name, one in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in found.items():
        for kind in one.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].partition(".")[0]
            parts = [kind["kind"].lower(), *filter(None, [group]), kind["version"]]
            schema = {"$ref": PREFIX + name, "definitions": needed(name, definitions)}
            (folder / f"{'-'.join(parts)}.json").write_text(json.dumps(schema), "utf-8")
    for path in custom.glob("*.yaml"):
        for name, schema in added(path):
            (folder / f"{name}.json").write_text(json.dumps(schema), "utf-8")


if __name__ == "__main__":
    main()
