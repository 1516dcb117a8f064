"""Decides a log of commands and prints one digest of everything that came of it.

    python -m tests.properties.decide_log FILE [--reversed]

Each line of the file is a command's record. With `--reversed` the domain's modules are imported,
and the tenants' states made, in another order than usual.
"""

import contextlib
import hashlib
import importlib
import locale
import sys
from pathlib import Path
from pkgutil import iter_modules

import msgspec

from agent_orchestration import domain

BEGIN_WITH = {f"tenant-{n}": n % 2 + 1 for n in range(16)}
"""The tenants, and the rules that each begins with."""


def digest_of(lines: bytes, *, backwards: bool = False) -> str:
    """SHA-256 over the records of all events and rejections, all answers, and all entities."""
    # Imported here: the program has a say in the order.
    from agent_orchestration.app import REGISTRY
    from agent_orchestration.core.envelope import CommandEnvelope, StoredRecord
    from agent_orchestration.core.messages import canonical
    from agent_orchestration.pipeline.deciding import Asked, Decider

    records = msgspec.json.Decoder(StoredRecord).decode_lines(lines)
    decider, found = Decider(REGISTRY), dict[str, bytes]()
    for tenant in sorted(BEGIN_WITH, reverse=backwards):
        state = REGISTRY.new_state(tenant)
        state.rules = BEGIN_WITH[tenant]
        digest = hashlib.sha256()
        for record in records:
            if record.key.decode() != tenant:
                continue
            envelope = CommandEnvelope.from_record(record)
            command = REGISTRY.decode_command(envelope.type, envelope.body)
            asked = Asked(envelope, command, (1, record.offset), record.timestamp)
            outcome = decider.decide(state, asked)
            event = outcome.folded and outcome.folded.envelope.to_record()
            digest.update(canonical([event, outcome.rejection, outcome.result]) + b"\n")
        for cls in REGISTRY.entities.values():
            digest.update(canonical(sorted(state.all(cls), key=lambda entity: entity.id)))
        found[tenant] = digest.digest()
    return hashlib.sha256(b"".join(found[tenant] for tenant in sorted(found))).hexdigest()


def main() -> None:
    """Run on the file named first."""
    # What is not installed counts as the default, as it does for any program.
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "")
    backwards = "--reversed" in sys.argv
    if backwards:
        for name in sorted((one.name for one in iter_modules(domain.__path__)), reverse=True):
            importlib.import_module(f"agent_orchestration.domain.{name}")
    sys.stdout.write(digest_of(Path(sys.argv[1]).read_bytes(), backwards=backwards) + "\n")


if __name__ == "__main__":
    main()
