"""What calls cost by a price list."""

from pathlib import Path

import pytest

from agent_orchestration.core.errors import Rejected
from agent_orchestration.workers.prices import Price, PriceList, read_prices

CHEAP, DEAR, SPECIAL = Price(1, 1, 1), Price(2, 2, 2), Price(3, 3, 3)
LIST = PriceList("1", {"m*": CHEAP, "m-large*": DEAR, "m-large-2": SPECIAL})


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ((0, 0, 0), 0),
        ((1_000_000, 0, 0), 300),
        ((0, 1_000_000, 0), 1500),
        ((1_000_000, 0, 1_000_000), 30),
        ((1_000_000, 2_000_000, 400_000), 180 + 12 + 3000),
        ((1, 0, 0), 1),
        ((10_000, 0, 0), 3),
        ((10_001, 0, 0), 4),
    ],
)
def test_a_cost_is_exact_and_rounded_up(tokens: tuple[int, int, int], cost: int) -> None:
    assert Price(prompt=300, cached=30, completion=1500).cost(*tokens) == cost


@pytest.mark.parametrize(
    ("model", "price"),
    [("m", CHEAP), ("m-small", CHEAP), ("m-large-1", DEAR), ("m-large-2", SPECIAL)],
)
def test_a_name_goes_before_a_prefix_and_a_long_one_before_a_short(
    model: str, price: Price
) -> None:
    assert LIST.of(model) == price


def test_a_name_without_a_star_is_one_model() -> None:
    with pytest.raises(Rejected, match="has no price for m-2") as caught:
        PriceList("7", {"m": CHEAP}).of("m-2")
    assert (caught.value.code, caught.value.details["version"]) == ("unknown_price", "7")
    assert "unknown: 0" in caught.value.reason


def test_what_unknown_models_cost_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("version: mine\nmodels: {}\nunknown: 0\n", "utf-8")
    assert read_prices(path).of("anything") == Price(0, 0, 0)
    path.write_text(
        "version: mine\nmodels: {}\nunknown: {prompt: 1, cached: 1, completion: 1}\n", "utf-8"
    )
    assert read_prices(path).of("anything") == CHEAP


def test_the_list_that_comes_with_the_program_says_of_when_it_is() -> None:
    prices = read_prices()
    assert prices.version >= "2025"
    assert prices.unknown is None
    for price in prices.models.values():
        assert 0 < price.cached <= price.prompt <= price.completion


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expected `object`"),
        ("version: 1\nmodels: {}", r"Expected `str`, got `int` - at `\$.version`"),
        ("version: ''\nmodels: {}", "version"),
        ("version: a", "missing required field `models`"),
        ("version: a\nmodels: {m: 5}", "models"),
        ("version: a\nmodels: {m: {prompt: 1, cached: 1}}", "completion"),
        ("version: a\nmodels: {m: {prompt: 0.5, cached: 1, completion: 1}}", "prompt"),
        ("version: a\nmodels: {m: {prompt: -1, cached: 1, completion: 1}}", "prompt"),
        ("version: a\nmodels: {}\nunknown: 1", "unknown"),
        ("version: a\nmodels: {}\nprice: 1", "price"),
        ("version: [", "is no price list"),
    ],
)
def test_a_file_that_is_no_price_list_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(Rejected, match=says) as caught:
        read_prices(path)
    assert (caught.value.code, caught.value.details["field"]) == ("bad_prices", "prices")
    assert str(path) in caught.value.reason


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"missing\.yaml"):
        read_prices(tmp_path / "missing.yaml")
