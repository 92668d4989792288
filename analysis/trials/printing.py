"""The trials table as text: for a terminal, for a pipe or log, and as trials.csv."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.trials.hours import hours_words
from analysis.trials.ranking import Ranking
from common.files import write_atomic
from common.text import value_text

TITLES = {"chosen_by": "chosen by"}
MAX_ROWS = 100  # of each table in a terminal: more would push the best trials out of sight

Cells = dict[str, list[str]]


def print_trials(ranking: Ranking) -> None:
    """Print the finished trials, best first, with what the search varied; then the others and why."""
    attrs = ranking.table.attrs
    draw = _draw_in_terminal if sys.stdout.isatty() else _print_whole
    score = ranking.score, ranking.column
    extra = ["chosen_by", *attrs["searched"]]
    draw(f"{len(ranking.ranked)} finished, best first", _cells(ranking.ranked, score, extra))
    if attrs.get("note"):
        print(attrs["note"])
    if ranking.note:
        print(f"note: {ranking.note}")
    if not ranking.unranked.empty:
        draw(
            f"{len(ranking.unranked)} not ranked",
            _cells(ranking.unranked, score, [*extra[:1], *attrs["searched"][:1], "reason"]),
        )
    for words in (attrs.get("chosen"), hours_words(ranking)):
        if words:
            print(words)


def write_trials(ranking: Ranking, path: Path) -> Path:
    """Write trials.csv: the finished trials, best first, then the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = pd.concat([ranking.ranked, ranking.unranked])
    return write_atomic(path, lambda part: ordered.to_csv(part, index=False))


def _cells(rows: pd.DataFrame, score: tuple[str, str], extra: list[str]) -> Cells:
    """{title: texts}, column by column: row by row takes pandas many times as long. `score`: its title and
    column."""
    text = partial(value_text, missing="")
    shown: list[tuple[str, str, Callable[[object], str]]] = [
        ("#", "sequence", text), ("trial", "trial", text), ("state", "state", text),
        (*score, text), ("best epoch", "best_epoch", _integer),
        ("seconds", "seconds", _integer),
        *((TITLES.get(name, name), name, text) for name in extra if name in rows),
    ]  # fmt: skip
    return {title: [written(value) for value in rows[name]] for title, name, written in shown}


def _draw_in_terminal(title: str, cells: Cells) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for name in cells:
        drawn.add_column(name)
    rows = list(zip(*cells.values(), strict=True))
    for row in rows[:MAX_ROWS]:
        drawn.add_row(*row)
    # A reason may hold [brackets] or :words:, which are not markup.
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(drawn)
    if len(rows) > MAX_ROWS:
        console.print(f"... and {len(rows) - MAX_ROWS} more: with --csv FILE, or through a pipe (| less)")


def _print_whole(title: str, cells: Cells) -> None:
    """Print one line per trial, no cell cut or folded, so that other tools can search and sort it. (rich
    would take 2 s for 2,000 trials.)"""
    columns = []
    for name, texts in cells.items():
        lines = [name, *(" ".join(text.split()) for text in texts)]
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines])
    print(title)
    print("\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True)))


def _integer(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) and value == value else ""
