"""`python -m bench`: run the measurements, print a table, write `bench/results.json`."""

import argparse
import sys
from pathlib import Path

import msgspec

from bench import (
    p1_lifecycles,
    p2_one_client,
    p3_fold,
    p4_tool_over_http,
    p5_own_writes,
    p6_rebuild,
    p7_embedded,
    p8_deciding,
    p9_memory,
    p10_overload,
    p11_worker,
    p12_sizes,
    p13_watched,
    scaling,
)
from bench.results import Figure, Row, as_data, machine, progress, show, write

FIGURES = {
    module.FIGURE.id: module.FIGURE
    for module in (
        p1_lifecycles,
        p2_one_client,
        p3_fold,
        p4_tool_over_http,
        p5_own_writes,
        p6_rebuild,
        p7_embedded,
        p8_deciding,
        p9_memory,
        p10_overload,
        p11_worker,
        p12_sizes,
        p13_watched,
        scaling,
    )
}
RESULTS = Path(__file__).parent / "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Measure what was chosen; the exit code. A goal that is missed is a result, not a failure."""
    given = _parser().parse_args(arguments)
    where = machine()
    rows: list[Row] = []
    for figure in given.figures or FIGURES.values():
        progress(f"{figure.id}: {figure.what}")
        rows += figure.measure(given.quick)
    data = as_data(rows, where, quick=given.quick)
    write(given.output, data)
    if given.json:
        print(msgspec.json.encode(data).decode())
    else:
        show(rows, where)
    return 0


def _parser() -> argparse.ArgumentParser:
    known = "\n".join(f"  {figure.id:4} {figure.what}" for figure in FIGURES.values())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the platform beside something known, in the same run.",
        epilog=f"figures:\n{known}\n\nexample: python -m bench P4 P7 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", type=_figure, help="default: all of them"
    )
    parser.add_argument("--quick", action="store_true", help="tiny counts: shows that it runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE", help=f"default: {RESULTS.name}"
    )
    return parser


def _figure(name: str) -> Figure:
    try:
        return FIGURES[name.upper()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{name}: known are {', '.join(FIGURES)}") from None


if __name__ == "__main__":
    sys.exit(main())
