"""Measurements of the platform: one module per figure, each beside something known, in one run.

A figure is a module `bench/pN_what_it_is.py` with one value:

    FIGURE = Figure("P8", "decide and evolve beside a loop of plain Python", measure)

    def measure(quick: bool) -> list[Row]:
        # `quick`: tiny counts, less than a second of work; the rows then prove nothing.
        return [
            Row(
                id="P8",
                what="command decided and folded, 1,000 live tasks",
                unit="µs",
                ours=11.3,
                beside=0.41,
                ratio=ratio(11.3, 0.41),
                goal="≤ 30×",
                met=None if quick else 11.3 <= 30 * 0.41,
                durability="M",
            )
        ]

It is listed in `FIGURES` of `bench/__main__.py`, and `python -m bench P8` runs it. What is common:

- Both sides are measured in the same run, in turns where noise would matter; a goal is about their
  ratio or difference, never about a number of seconds alone.
- `ours` and `beside` have the same `unit`. `ratio` is `ours / beside`. What was not measured is
  `None`, and `met` is `None` whenever a side is missing or the run was quick; `note` says why.
- `durability` names the class of the writes: M memory, P page cache, F fsync; both sides have the
  same. "–" where nothing is written.
- `measure` may start processes and write into a temporary folder; it leaves nothing behind. It
  prints nothing; it raises when it cannot measure.
"""
