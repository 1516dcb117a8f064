"""Spans of calls of language models: what was asked for and what it cost, never what was said."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

from agent_orchestration import tracing
from agent_orchestration.backends.llm.openai_answers import Draft


@contextmanager
def chat_span(
    model: str, base_url: str, max_tokens: int | None
) -> Generator[Callable[[Draft], None]]:
    """A call of that model, below the work that it is made for; what comes is to be told of the
    answer."""
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "server.address": urlsplit(base_url).hostname or "",
    }
    if max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = max_tokens
    with tracing.span(f"chat {model}", attributes, kind="client") as span:

        def answered(draft: Draft) -> None:
            if span is None:
                return
            span.set_attributes(
                {
                    "gen_ai.response.model": draft.model or model,
                    "gen_ai.response.finish_reasons": [draft.finish_reason],
                    "gen_ai.usage.input_tokens": draft.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": draft.usage.completion_tokens,
                }
            )

        yield answered
