"""How the nodes that are no entities are described."""

EVENT_NODE = {
    "label": "Event",
    "description": "A fact of the history.",
    "properties": {
        "id": "text",
        "tenant": "text",
        "seq": "integer",
        "type": "text",
        "at": "datetime",
        "actor": "text",
        "command_id": "text",
        "receipt_key": "text",
        "body_hash": "text",
        "digest": "text",
        "data": "JSON text",
    },
}
TENANT_NODE = {
    "label": "Tenant",
    "description": "A tenant and how far its history goes.",
    "properties": {
        "id": "text",
        "seq": "integer",
        "at": "datetime",
        "rules": "integer",
        "next_due": "datetime",
    },
}
