"""Since when things are as they are."""

from agent_orchestration.pipeline.since import Since


def test_a_moment_begins_anew_with_each_change() -> None:
    now = [0]
    since = Since(lambda: now[0])

    def look(at: int, **checks: bool) -> dict[str, tuple[str, float]]:
        now[0] = at
        found = since.noted({name: {"ok": ok, "detail": ""} for name, ok in checks.items()})
        assert {name: one["ok"] for name, one in found.items()} == checks
        return {name: (one["since"][14:19], one["seconds"]) for name, one in found.items()}

    assert look(0, log=True, graph=True) == {"log": ("00:00", 0), "graph": ("00:00", 0)}
    assert look(1_000, log=True, graph=False) == {"log": ("00:00", 1), "graph": ("00:01", 0)}
    assert look(61_500, log=True, graph=False) == {"log": ("00:00", 61.5), "graph": ("00:01", 60.5)}
    assert look(62_000, log=True, graph=True) == {"log": ("00:00", 62), "graph": ("01:02", 0)}
    # What is gone meanwhile, such as a partition that another process has, is new afterwards.
    assert look(63_000, graph=True) == {"graph": ("01:02", 1)}
    assert look(64_000, log=True, graph=True)["log"] == ("01:04", 0)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    now = [5_000]
    since = Since(lambda: now[0])
    checks = {"log": {"ok": False, "detail": "away"}}
    since.noted(checks)
    now[0] = 1_000
    assert since.noted(checks)["log"]["seconds"] == 0
