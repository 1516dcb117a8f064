"""Language models over OpenAI's chat protocol: OpenAI, Ollama, and whatever else speaks it."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx2

from agent_orchestration.backends.llm import (
    BEGIN_ANEW,
    ChatAnswer,
    Message,
    ToolSpec,
    openai_answers,
)
from agent_orchestration.backends.llm.openai_answers import Draft, decoded, events
from agent_orchestration.backends.llm.openai_errors import (
    bad_answer,
    no_key,
    reported,
    timed_out,
    translated,
)
from agent_orchestration.config import OpenAI
from agent_orchestration.core.errors import Busy, PlatformError, Rejected, Unavailable
from agent_orchestration.measures import MODEL_CALLS, MODEL_SECONDS
from agent_orchestration.resilience import (
    BREAKERS,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerRegistry,
)

DEFAULT_URL = "https://api.openai.com/v1"
ATTEMPTS = 3
"""Requests for one answer. Made here and not by the client, which asks again when a quota is used
up, does not when an answer was cut, and whose requests the breaker could not count one by one."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt; twice that before the third. At most half of it less."""
LONGEST_WAIT = 30.0
"""Seconds. Whoever is told to wait longer is told so."""


class OpenAIChatModel:
    """A `ChatModel` of the service that the settings name; one serves a whole process.

    `breakers` has a breaker for each model of the service. `sleep` waits that many seconds.
    Making one imports the client, which takes about a second.
    """

    def __init__(
        self,
        config: OpenAI,
        breakers: CircuitBreakerRegistry = BREAKERS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        from openai import AsyncOpenAI  # noqa: PLC0415 (start-up time)

        self._config = config
        self._key = config.api_key.get_secret_value() if config.api_key else None
        self._base_url = config.base_url or DEFAULT_URL
        self._client = AsyncOpenAI(
            # The client insists on one; where there is none, none is sent.
            api_key=self._key or "none",
            base_url=self._base_url,
            timeout=None,
            max_retries=0,
        )
        self._breakers = breakers
        self._sleep = sleep
        self._places = asyncio.Semaphore(config.max_concurrency)

    def breaker(self, model: str) -> CircuitBreaker:
        """See `ChatModel`."""
        return self._breakers.breaker(f"model {model} at {self._base_url}")

    async def close(self) -> None:
        """See `ChatModel`."""
        await self._client.close()

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        tools: Sequence[ToolSpec] = (),
        schema: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (of each attempt, not of the call)
        on_text: Callable[[str], None] | None = None,
    ) -> ChatAnswer:
        """See `ChatModel`."""
        if self._key is None and self._config.base_url is None:
            raise no_key()
        began = time.monotonic()
        request = self._request(messages, model, tools, schema, max_tokens)
        teller = _Teller(on_text) if on_text is not None else None
        call = _Call(request, model, timeout or self._config.request_timeout, teller)
        try:
            with MODEL_SECONDS.timed(model):
                draft, attempts = await self._answered(call)
        except PlatformError as error:
            MODEL_CALLS.add(model, error.code)
            raise
        MODEL_CALLS.add(model, "answered")
        return ChatAnswer(
            draft.text,
            draft.tool_calls,
            draft.finish_reason,
            draft.model or model,
            draft.usage,
            time.monotonic() - began,
            attempts,
        )

    def _request(
        self,
        messages: Sequence[Message],
        model: str,
        tools: Sequence[ToolSpec],
        schema: Mapping[str, Any] | None,
        max_tokens: int | None,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"model": model, "messages": list(messages)}
        if tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in tools
            ]
        if schema is not None:
            wanted = {"name": "answer", "schema": schema}
            request["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if max_tokens is not None:
            # OpenAI's newer models refuse the older name, which is all that other services know.
            own = self._config.base_url is None
            request["max_completion_tokens" if own else "max_tokens"] = max_tokens
        return request

    async def _answered(self, call: "_Call") -> tuple[Draft, int]:
        """The answer, and the number of attempts that it took."""
        breaker = self.breaker(call.model)
        failure: PlatformError | None = None
        broke = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._places:
                    return await breaker.call(lambda: self._attempt(call)), attempt
            except CircuitBreakerError as error:
                raise failure or Unavailable(
                    "model_circuit_open", error.reason, may_be_billed=False, **error.details
                ) from None
            except (Rejected, Busy, Unavailable) as error:
                if broke:
                    error.details["may_be_billed"] = True
                if isinstance(error, Rejected):
                    raise
                broke = broke or isinstance(error, Unavailable)
                failure = error
                failure.details["attempts"] = attempt
                wait = error.details.get("retry_after", _wait_after(attempt))
                if attempt == ATTEMPTS or wait > LONGEST_WAIT:
                    raise
            if call.teller is not None:
                call.teller.begin_anew()
            await self._sleep(wait)
        raise AssertionError("the last attempt answers or raises")

    async def _attempt(self, call: "_Call") -> Draft:
        limit = asyncio.timeout(call.seconds)
        try:
            async with limit, AsyncExitStack() as stack:
                parts = await self._opened(call, stack)
                draft = Draft()
                if call.teller is None:
                    whole = b"".join([part async for part in parts])
                    self._take(draft, whole, call)
                else:
                    pieces = await stack.enter_async_context(aclosing(events(parts)))
                    async for data in pieces:
                        limit.reschedule(asyncio.get_running_loop().time() + call.seconds)
                        if text := self._take(draft, data, call):
                            call.teller.tell(text)
        except TimeoutError:
            if not limit.expired():
                raise
            raise timed_out(call.model, call.seconds) from None
        draft.check()
        return draft

    async def _opened(self, call: "_Call", stack: AsyncExitStack) -> AsyncGenerator[bytes]:
        """Send the request; the answer's bytes, which the stack closes."""
        from openai import Omit, OpenAIError  # noqa: PLC0415 (start-up time)

        completions: Any = self._client.chat.completions.with_streaming_response
        request = dict(call.request)
        if self._key is None:
            request["extra_headers"] = {"Authorization": Omit()}
        if call.teller is not None:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            response = await stack.enter_async_context(completions.create(**request))
        except OpenAIError as error:
            raise translated(error, call.model, self._base_url, self._key) from None
        except httpx2.HTTPError:  # an error's text that was cut
            raise bad_answer("was cut off") from None
        return await stack.enter_async_context(aclosing(_limited(response.iter_bytes())))

    def _take(self, draft: Draft, data: bytes, call: "_Call") -> str:
        piece = decoded(data)
        if piece.error is not None:
            raise reported(piece.error, call.model, self._key)
        return draft.add(piece)


class _Call:
    """One call of `chat`, whose attempts share it. `seconds` that an attempt may be silent."""

    def __init__(
        self, request: dict[str, Any], model: str, seconds: float, teller: "_Teller | None"
    ) -> None:
        self.request = request
        self.model = model
        self.seconds = seconds
        self.teller = teller


class _Teller:
    """Tells the pieces of an answer, and that they are void if any were told."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._told = False

    def tell(self, text: str) -> None:
        self._told = True
        self._on_text(text)

    def begin_anew(self) -> None:
        if self._told:
            self._on_text(BEGIN_ANEW)
        self._told = False


async def _limited(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The bytes of an answer as they come. Raises `Unavailable` where there are too many, or
    fewer than were promised."""
    size = 0
    try:
        async for part in parts:
            size += len(part)
            if size > openai_answers.MAX_BYTES:
                raise bad_answer(f"is larger than {openai_answers.MAX_BYTES} bytes")
            yield part
    except httpx2.HTTPError:
        raise bad_answer("was cut off") from None


def _wait_after(attempt: int) -> float:
    """Seconds until the next attempt; not the same for all who failed together."""
    return FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1)
