"""What a process counts of its own work, and how Prometheus is told."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_orchestration import measures, metrics
from agent_orchestration.measures import MOST, Count, Distribution, Gauge
from agent_orchestration.pipeline.topology import COMMANDS, EVENTS

Sample = tuple[str, tuple[tuple[str, str], ...]]


def exposed() -> dict[Sample, float]:
    """Every sample by its name and labels."""
    text = metrics.exposed("")[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> tuple[Count, Gauge, Distribution]:
    own = (
        Count("eggs", "Eggs laid", ("hen",)),
        Gauge("hens_awake", "Hens that are awake"),
        Distribution("egg_grams", "How heavy eggs are", ("hen",), bounds=(50.0, 60.0)),
    )
    monkeypatch.setattr(metrics, "MEASURES", own)
    return own


def test_a_count_a_gauge_and_a_distribution_are_told_as_prometheus_has_them(
    declared: tuple[Count, Gauge, Distribution],
) -> None:
    eggs, awake, grams = declared
    eggs.add("ada")
    eggs.add("ada", by=2)
    awake.set(7)
    for weight in (40.0, 50.0, 55.0, 70.0):
        grams.observe(weight, "ada")
    found = exposed()
    ada = (("hen", "ada"),)
    assert found["eggs_total", ada] == 3
    assert found["hens_awake", ()] == 7
    assert [found["egg_grams_bucket", (*ada, ("le", le))] for le in ("50.0", "60.0", "+Inf")] == [
        2,
        3,
        4,
    ]
    assert (found["egg_grams_count", ada], found["egg_grams_sum", ada]) == (4, 215)
    awake.drop()
    assert ("hens_awake", ()) not in exposed()


def test_a_gauge_that_follows_something_says_how_it_is_when_somebody_asks(
    declared: tuple[Count, Gauge, Distribution],
) -> None:
    awake = declared[1]
    now = [3.0]
    awake.follow(lambda: now[0])
    now[0] = 4.0
    assert exposed()["hens_awake", ()] == 4
    awake.drop()
    assert ("hens_awake", ()) not in exposed()


def test_a_gauge_is_raised_while_something_goes_on_whatever_its_end() -> None:
    open_ones = Gauge("open", "Open", ("door",))
    with open_ones.raised("front"), open_ones.raised("front"):
        assert open_ones.read() == {("front",): 2}
    with pytest.raises(ZeroDivisionError), open_ones.raised("front"):
        raise ZeroDivisionError
    assert open_ones.read() == {("front",): 0}


def test_no_caller_fills_the_memory_with_names() -> None:
    count = Count("calls", "Calls", ("tool", "agent"))
    seconds = Distribution("seconds", "Seconds", ("agent",))
    for number in range(MOST + 50):
        count.add("t", f"agent-{number}")
        seconds.observe(0.1, f"agent-{number}")
    count.add("t", "agent-0")
    assert len(count.values) == len(seconds.values) == MOST + 1
    assert count.values["other", "other"] == 50
    assert count.values["t", "agent-0"] == 2
    assert sum(seconds.values["other",].counts) == 50


def test_what_is_timed_counts_whatever_its_end() -> None:
    seconds = Distribution("seconds", "Seconds")
    with pytest.raises(ZeroDivisionError), seconds.timed():
        raise ZeroDivisionError
    assert sum(seconds.values[()].counts) == 1
    assert seconds.values[()].sum >= 0


def test_what_has_no_labels_or_known_ones_is_there_before_anything_happened() -> None:
    found = exposed()
    for measure in measures.MEASURES:
        if not measure.labels and isinstance(measure, Count):
            assert (f"{measure.name}_total", ()) in found
        if not measure.labels and isinstance(measure, Distribution):
            assert (f"{measure.name}_count", ()) in found
    for topic in (COMMANDS, EVENTS):
        assert ("dead_letters_total", (("topic", topic),)) in found
    assert ("commands_shed_total", (("code", "busy"),)) in found


def test_no_name_is_given_twice() -> None:
    names = [measure.name for measure in measures.MEASURES]
    assert len(set(names)) == len(names)


def test_the_page_lists_every_measure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    kinds = {Count: "counter", Gauge: "gauge", Distribution: "histogram"}
    for measure in measures.MEASURES:
        total = "_total" if isinstance(measure, Count) else ""
        labels = ", ".join(f"`{label}`" for label in measure.labels) or "–"
        kind = kinds[type(measure)]
        assert f"| `{measure.name}{total}` | {kind} | {labels} | {measure.meaning} |" in listed
