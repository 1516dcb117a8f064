"""Carrying out what operators ask for; a new operation finds its place here."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from agent_orchestration import __version__
from agent_orchestration.backends import Backends
from agent_orchestration.backends.backups import Backups
from agent_orchestration.core.errors import Busy, Conflict, Rejected
from agent_orchestration.core.operations import (
    Archive,
    Backup,
    Fill,
    ListBackups,
    ListSetAside,
    Operation,
    Rebuild,
    Redrive,
    Restore,
    SettleLetter,
    Verify,
)
from agent_orchestration.pipeline.archiving import archive
from agent_orchestration.pipeline.backing_up import back_up, list_backups, restore
from agent_orchestration.pipeline.ownership import Ownership
from agent_orchestration.pipeline.rebuilding import Rebuilding, fill
from agent_orchestration.pipeline.redriving import Redriving, list_set_aside, settle_letter
from agent_orchestration.pipeline.services import Services
from agent_orchestration.pipeline.topology import GROUP
from agent_orchestration.pipeline.verifying import verify

Steps = AsyncGenerator[dict[str, Any], None]


class Operations:
    """What this process does for operators. What writes much runs once at a time."""

    def __init__(self, services: Services, backends: Backends, owned: Ownership) -> None:
        self._services = services
        self._backends = backends
        self._owned = owned
        self._writing = asyncio.Lock()

    async def run(self, operation: Operation) -> Steps:
        """For the yields see `core.dispatch.Dispatcher`. Raises `Busy` while another one runs."""
        async with contextlib.aclosing(self._steps(operation)) as steps:
            if isinstance(operation, ListBackups | ListSetAside | Verify):
                async for step in steps:
                    yield step
                return
            if self._writing.locked():
                reason = "another operation is under way here: wait for its end, then repeat"
                raise Busy("operating", reason, retry_after=5)
            async with self._writing:
                async for step in steps:
                    yield step

    def _steps(self, operation: Operation) -> Steps:
        services, others = self._services, self._backends.other_graphs
        match operation:
            case Verify(tenant):
                return verify(services.log, services.graph, tenant)
            case Rebuild(repair):
                return self._rebuild(repairs=repair)
            case Fill(uri):
                return fill(services, others.on_server(uri))
            case Archive(only_look):
                return archive(services, only_look=only_look)
            case Backup():
                return back_up(services, others, self._backups())
            case ListBackups():
                return list_backups(self._backups())
            case Restore(name, into):
                return self._restore(name, into)
            case ListSetAside():
                return list_set_aside(services)
            case Redrive(tenant):
                return self._redrive(tenant)
            case SettleLetter(place, give_up):
                return settle_letter(services, place, give_up)

    async def _rebuild(self, *, repairs: bool) -> Steps:
        others = self._backends.other_graphs
        name = f"rebuild-{__version__}-{self._services.log.epoch}"
        graph = await others.open_scratch(name)
        work = Rebuilding(self._services, graph, self._owned, repairs=repairs)
        try:
            async with contextlib.aclosing(work.run()) as steps:
                async for step in steps:
                    yield step
        finally:
            try:
                await graph.stop()
            finally:
                await self._owned.restart(work.repaired | self._owned.stopped())
        # Interrupted, it goes on there.
        others.remove_scratch(name)

    async def _redrive(self, tenant: str) -> Steps:
        work = Redriving(self._services, tenant)
        try:
            async for step in work.run():
                yield step
        finally:
            await self._owned.restart(work.repaired)

    async def _restore(self, name: str | None, into: str | None) -> Steps:
        services, backups = self._services, self._backups()
        if into is not None:
            graph = self._backends.other_graphs.on_server(into)
            await graph.start()
            try:
                async for step in restore(services, backups, name, graph):
                    yield step
            finally:
                await graph.stop()
            return
        if self._owned.working or await services.log.member_rules(GROUP):
            reason = "somebody works on the graph: stop all processors, or run rebuild instead"
            raise Conflict("not_alone", reason)
        async for step in restore(services, backups, name, services.graph):
            yield step

    def _backups(self) -> Backups:
        found = self._backends.backups
        if found is None:
            reason = "backups.url: no place for backups is named; set it, then repeat"
            raise Rejected("no_place", reason, field="backups.url")
        return found
