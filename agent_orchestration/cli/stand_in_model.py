"""`stand-in-model`: a server for tests and dry runs that speaks the protocol of language models."""

import os
from pathlib import Path
from typing import Annotated

import typer

from agent_orchestration.cli.session import JsonOption, run
from agent_orchestration.cli.text import print_json


def add_to(program: typer.Typer) -> None:
    """Register the verb."""
    program.command("stand-in-model")(stand_in_model)


def stand_in_model(
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What it answers, in YAML or JSON.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes a free one.", metavar="PORT")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Serve OpenAI's chat protocol on this machine without a model, for tests and dry runs: answers
    follow from the request, or from a script that also says when it fails.

    Example: agent-orchestration stand-in-model --script answers.yaml --port 8081
    """
    from agent_orchestration.server.serve import serve_http  # noqa: PLC0415 (start-up time)
    from agent_orchestration.stand_in_model.app import create_stand_in  # noqa: PLC0415
    from agent_orchestration.stand_in_model.script import load_script  # noqa: PLC0415

    app = create_stand_in(load_script(script) if script is not None else None)

    async def started(url: str) -> None:
        if as_json:
            print_json({"pid": os.getpid(), "url": url, "base_url": f"{url}/v1"})
        else:
            print(f"A stand-in for a model is at {url}/v1. Use it with OPENAI_BASE_URL={url}/v1")
            print("No model is behind it. Ctrl-C ends it.", flush=True)

    run(serve_http(app, "127.0.0.1", port, on_started=started), serving=True)
