"""Several tenants with everything they may ask for, as time passes, on an owner that forgets,
folds late and restarts: each is as if it were alone, and nobody is ever stuck."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.graph.kglite import KgliteGraph
from agent_orchestration.core.envelope import CommandEnvelope
from agent_orchestration.core.messages import canonical
from agent_orchestration.core.state import GENESIS
from tests.properties.explained import check_explanations
from tests.properties.graph_model import Batch, Reader
from tests.properties.histories import OPENING, History, a_move, moves
from tests.properties.laws import check_laws
from tests.properties.move import Move
from tests.properties.owner import Owner, of_tenant

TENANTS = st.sampled_from(["default", "acme", "acme2"])


class Company(RuleBasedStateMachine):
    """Every command is decided twice: by its tenant alone, which forgets nothing, and by the owner
    of all of them. Both must say and append the same."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = Owner()
        self.alone = {name: History(name) for name in ("default", "acme", "acme2")}

    @initialize()
    def begin(self) -> None:
        for tenant in self.alone:
            for move in OPENING:
                self.command(tenant, move)

    @rule(tenant=TENANTS, move=a_move())
    def command(self, tenant: str, move: Move) -> None:
        """Somebody asks for something."""
        history = self.alone[tenant]
        key = f"key {len(history.outcomes)}" if move.keyed else None
        ours = history.ask(history.command(move), key=key)
        self._same_of_owner(history, ours.asked.envelope)
        if ours.folded is not None:
            check_laws(history.state, ours.folded.event)

    @rule(tenant=TENANTS, place=st.integers(0, 10**6))
    def repeat(self, tenant: str, place: int) -> None:
        """A command comes again."""
        history = self.alone[tenant]
        envelope = history.outcomes[place % len(history.outcomes)].asked.envelope
        history.ask_again(envelope)
        self._same_of_owner(history, envelope)

    @rule(tenant=TENANTS, seconds=st.sampled_from([1, 61, 1000, 100_000]))
    def pass_time(self, tenant: str, seconds: int) -> None:
        """Time passes, and the timer asks for what is due first."""
        self.command(tenant, Move("due", seconds=seconds))

    @rule(events=st.integers(1, 30))
    def fold(self, events: int) -> None:
        """Some events reach the graph."""
        asyncio.run(self.owner.fold(events))

    @rule(random=st.randoms(use_true_random=False))
    def restart(self, random: Any) -> None:
        """The owner begins anew."""
        asyncio.run(self.owner.restart(random))

    def _same_of_owner(self, history: History, envelope: CommandEnvelope) -> None:
        ours = history.outcomes[-1]
        theirs = asyncio.run(self.owner.ask(envelope, history.now))
        assert canonical(theirs.result) == canonical(ours.result)
        assert (theirs.folded is None) == (ours.folded is None)
        if theirs.folded and ours.folded:
            assert theirs.folded.digest == ours.folded.digest

    @invariant()
    def histories_are_chains(self) -> None:
        for tenant, history in self.alone.items():
            its = of_tenant(self.owner.log, tenant)
            assert [one.digest for one in its[-3:]] == [
                one.digest for one in history.envelopes[-3:]
            ]

    def teardown(self) -> None:
        for tenant, history in self.alone.items():
            its = of_tenant(self.owner.log, tenant)
            assert [one.seq for one in its] == list(range(1, len(its) + 1))
            chain = [GENESIS, *(one.digest for one in its)]
            assert [one.prev for one in its] == chain[:-1]
            assert chain[-1] == history.state.prev


TestCompany = Company.TestCase
TestCompany.settings = settings(max_examples=60, stateful_step_count=40)


@settings(max_examples=30)
@given(moves(most=60), moves(most=30))
def test_every_unfinished_task_has_a_next_step_that_its_explanation_names(
    made: list[Move], others: list[Move]
) -> None:
    histories = [History("default").play(made), History("acme").play(others)]

    async def run(folder: Path) -> None:
        graph = KgliteGraph(folder / "graph.kgl", REGISTRY.entities.values())
        await graph.start()
        try:
            for history in histories:
                reader = Reader(graph, history.state.tenant)
                await reader.read(history.envelopes, [Batch(size=1000)])
            for history in histories:
                await check_explanations(graph, history.state)
        finally:
            await graph.stop()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
