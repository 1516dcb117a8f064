"""What calls to language models cost, from a price list in YAML.

    version: "2025-06-01"
    models:
      gpt-4o: {prompt: 2500000, cached: 1250000, completion: 10000000}
      ollama/*: {prompt: 0, cached: 0, completion: 0}

Prices are in micros, millionths of the currency, per million tokens: integers, so that costs are
exact. A name ending in * stands for all models that begin like it.
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

from agent_orchestration.core.errors import Rejected

MILLION = 1_000_000
Rate = Annotated[int, Meta(ge=0, le=10**12)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Micros per million tokens: of the prompt, of its cached part, and of what is produced."""

    prompt: Rate
    cached: Rate
    completion: Rate

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """What a call costs in micros, a part of one counting as one; `cached_tokens` are some of
        `prompt_tokens`."""
        cost = (
            (prompt_tokens - cached_tokens) * self.prompt
            + cached_tokens * self.cached
            + completion_tokens * self.completion
        )
        return -(-cost // MILLION)


FREE = Price(0, 0, 0)


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prices of one `version`; `unknown` is that of models that are not listed, None where
    there is none."""

    version: Annotated[str, Meta(min_length=1)]
    models: dict[str, Price]
    unknown: Price | Literal[0] | None = None

    def of(self, model: str) -> Price:
        """The price of a model. Raises `Rejected` where the list has none."""
        if model in self.models:
            return self.models[model]
        prefixes = [name[:-1] for name in self.models if name.endswith("*")]
        matching = [prefix for prefix in prefixes if model.startswith(prefix)]
        if matching:
            return self.models[f"{max(matching, key=len)}*"]
        if self.unknown is None:
            raise Rejected(
                "unknown_price",
                f"model: the price list of {self.version} has no price for {model}; add it to a"
                " list of your own, or say there what unknown models cost (unknown: 0)",
                field="model",
                version=self.version,
            )
        return self.unknown or FREE


def read_prices(path: Path | None = None) -> PriceList:
    """The price list in a file, or the one that comes with this program.

    Raises `Rejected` where the file cannot be read or is no price list.
    """
    name = "the packaged list" if path is None else str(path)
    try:
        packaged = files("agent_orchestration.workers") / "prices.yaml"
        text = (packaged if path is None else path).read_text("utf-8")
        return msgspec.convert(yaml.safe_load(text), PriceList)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Rejected(
            "bad_prices",
            f"prices: {name} is no price list: {error}; name a file with version and models, each"
            " with prompt, cached and completion in micros per million tokens",
            field="prices",
        ) from error
