"""The move about what tasks produce."""

import hashlib

from agent_orchestration.core.messages import Command, canonical
from agent_orchestration.core.state import TenantState
from agent_orchestration.core.types import BlobReference
from agent_orchestration.domain.artifacts.commands import AddArtifact
from tests.properties.move import Make, Move, some_lease


def _add(state: TenantState, move: Move, _now: int) -> Command:
    task, agent, attempt = some_lease(state, move)
    content = move.text.encode() if move.number % 3 else b"the same"
    blob = BlobReference(hashlib.sha256(content).hexdigest(), len(content))
    return AddArtifact(
        task_id=task,
        agent_id=agent,
        attempt=attempt,
        name=f"f{move.number % 2}/" + "".join(c for c in move.line(9) if c not in ":/\\\x7f") + "x",
        media_type="text/plain" if move.number % 7 else "text/csv",
        content=canonical(blob).decode(),
    )


ARTIFACTS: dict[str, Make] = {"artifact": _add}
"""Kind of move -> what makes its command."""
