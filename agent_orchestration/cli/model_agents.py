"""The agents of `worker` that a language model carries out."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from agent_orchestration.app import REGISTRY
from agent_orchestration.backends.llm.openai import OpenAIChatModel
from agent_orchestration.cli.worker import ModelOptions
from agent_orchestration.config import Config
from agent_orchestration.config_types import secrets_of
from agent_orchestration.core.dispatch import ToolCaller
from agent_orchestration.workers.found import functions_of, servers_of
from agent_orchestration.workers.hosting import HostedAgent
from agent_orchestration.workers.llm_tools import Toolbox
from agent_orchestration.workers.prices import PriceList, read_prices
from agent_orchestration.workers.recording import (
    NoRecordings,
    RecordedAnswers,
    Recordings,
    ReplayedAnswers,
)
from agent_orchestration.workers.redaction import Redaction
from agent_orchestration.workers.template_agent import template_agent


@contextlib.asynccontextmanager
async def model_agents(
    dispatcher: ToolCaller, config: Config, options: ModelOptions
) -> AsyncGenerator[Sequence[HostedAgent]]:
    """The agents, with what they need open until the end of the block.

    Raises `Rejected` for an option that is wrong, and what `template_agent` raises.
    """
    recordings = _recordings(config, options.record, options.replay)
    functions = functions_of(options.functions) if options.functions else ()
    toolbox = Toolbox(REGISTRY, functions, servers_of(options.mcp_servers))
    prices = _prices(config, options.prices)
    model = OpenAIChatModel(config.openai)
    try:
        await toolbox.start()
        yield [
            await template_agent(
                dispatcher,
                agent_id=agent_id,
                template=options.template,
                model=model,
                default_model=config.openai.default_model,
                toolbox=toolbox,
                prices=prices,
                recordings=recordings,
            )
            for agent_id in options.ids or filter(None, [options.template])
        ]
    finally:
        await toolbox.stop()
        await model.close()


def _prices(config: Config, file: Path | None) -> PriceList:
    """Our list is of what is known to cost money; a service of one's own costs nothing unless a
    list says so."""
    if file is None and config.openai.base_url is not None:
        return PriceList(version="own service", models={}, unknown=0)
    return read_prices(file)


def _recordings(config: Config, record: Path | None, replay: Path | None) -> Recordings:
    redaction = Redaction(config.recording.redact, secrets_of(config))
    if record is not None:
        return RecordedAnswers(record, redaction)
    return NoRecordings() if replay is None else ReplayedAnswers(replay, redaction)
