"""Write a JSON Schema for every kind of Kubernetes' API, in the form that kubeconform reads, from
the OpenAPI file of its sources: `api_schemas.py SWAGGER FOLDER`.

Nothing but what the API knows is allowed, and every schema stands alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

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


def main() -> None:
    """One file for each kind: `deployment-apps-v1.json`, `service-v1.json`."""
    swagger, folder = Path(sys.argv[1]), Path(sys.argv[2])
    found = json.loads(swagger.read_text("utf-8"))["definitions"]
    definitions = {name: strict(name, one) for name, one in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in found.items():
        for kind in one.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].partition(".")[0]
            parts = [kind["kind"].lower(), *filter(None, [group]), kind["version"]]
            schema = {"$ref": PREFIX + name, "definitions": needed(name, definitions)}
            (folder / f"{'-'.join(parts)}.json").write_text(json.dumps(schema), "utf-8")


if __name__ == "__main__":
    main()
