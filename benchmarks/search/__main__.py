"""Compare ways to search on recorded and generated learning curves, without training anything.

    python -m benchmarks.search [--repetitions 100] [--table recorded --table crossing] [--method random]

Prints the compute that each method needs as a share of random search's, and writes the same with the figure
of regret against compute to --out. Replays are kept there and not played again, so the command may be stopped
and started again.
"""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.search import generated, table
from common.errors import UsageError, all_at_once, exit_on_usage_error, unknown
from common.files import write_json

QUICK = {"repetitions": 4, "recipes": 40, "workers": [1]}


def main(arguments: Sequence[str] | None = None) -> None:
    from benchmarks.search import compare
    from benchmarks.search.figure import regret_figure
    from benchmarks.search.rivals import METHODS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument(
        "--table", action="append", default=[],
        help=f"recorded (the shipped one), a .parquet file, {', '.join(generated.KINDS)}; default: all",
    )  # fmt: skip
    parser.add_argument("--method", action="append", default=[], help="default: all that are installed")
    parser.add_argument("--workers", type=int, action="append", default=[], help="default: 1 and 2")
    parser.add_argument("--recipes", type=int, help="only the first ones of each table")
    parser.add_argument(
        "--part", type=float, default=1.0,
        help="fraction of the recipes, drawn for each repetition: intervals then include the table's luck",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, default=2, help="1: in this one")
    parser.add_argument("--quick", action="store_true", help="a short look: few repetitions, small tables")
    parser.add_argument("--out", type=Path, default=Path("out/search_replays"))
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.repetitions, asked.recipes, asked.workers = QUICK.values()
    tables, _ = all_at_once(
        lambda: [_table(name) for name in asked.table or ["recorded", *generated.KINDS]],
        lambda: _known(asked.method, METHODS),
    )
    methods = []
    for name in asked.method or METHODS:
        if reason := compare.unavailable(name):
            print(f"{name} is left out: {reason}")
        else:
            methods.append(name)
    if not 0 < asked.part <= 1:
        raise UsageError(f"--part {asked.part:g}: must be above 0 and at most 1")
    workers = asked.workers or [1, 2]
    found = compare.run(
        tables, methods, asked.repetitions, workers, asked.recipes, asked.part, asked.out, asked.processes
    )
    print(compare.text(found))
    write_json(asked.out / "compare.json", [asdict(line) for line in found])
    page = asked.out / "regret.html"
    page.write_text(regret_figure(found).to_html(include_plotlyjs=True))
    print(f"\n{page}")


def _known(names: Sequence[str], known: Collection[str]) -> None:
    if wrong := [unknown("method", name, known) for name in names if name not in known]:
        raise UsageError(wrong)


def _table(name: str) -> str:
    if name == "recorded":
        if not table.SHIPPED.is_file():
            raise UsageError(f"no {table.SHIPPED}: write it with python -m benchmarks.search.collect FOLDER")
        return str(table.SHIPPED)
    if name in generated.KINDS or Path(name).is_file():
        return name
    raise UsageError(unknown("table", name, ["recorded", *generated.KINDS]) + "; or a file that exists")


if __name__ == "__main__":
    with exit_on_usage_error():
        main()
