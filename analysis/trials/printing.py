"""The trials table as text: for a terminal, for a pipe or log, and as trials.csv."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis.trials.ranking import apart, rank
from common.files import write_atomic
from common.text import number_text

MOST_ROWS = 100  # of each table on a terminal: below more of them the best would be out of sight

Cells = dict[str, list[str]]


def print_trials(table: pd.DataFrame) -> None:
    """Finished trials, best first, with what the search varied; the others below, with their reasons."""
    ranked, others = rank(table), apart(table)
    searched = table.attrs["searched"]
    draw = _draw_on_terminal if sys.stdout.isatty() else _print_whole
    draw(f"{len(ranked)} finished, best first", _cells(ranked, searched))
    if table.attrs.get("note"):
        print(table.attrs["note"])
    if not others.empty:
        draw(f"{len(others)} not ranked", _cells(others, [*searched[:1], "reason"]))


def write_trials(table: pd.DataFrame, path: Path) -> Path:
    """trials.csv: the trials table, finished ones first, best first; the others below."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = pd.concat([rank(table), apart(table)])
    return write_atomic(path, lambda part: ordered.to_csv(part, index=False))


def _cells(rows: pd.DataFrame, extra: list[str]) -> Cells:
    """{title: texts}, column by column: row by row takes pandas many times as long."""
    shown: list[tuple[str, str, Callable[[object], str]]] = [
        ("#", "sequence", _text), ("trial", "trial", _text), ("state", "state", _text),
        ("macro-F1", "macro_f1", _text), ("best epoch", "best_epoch", _whole), ("seconds", "seconds", _whole),
        *((name, name, _text) for name in extra if name in rows),
    ]  # fmt: skip
    return {title: [text(value) for value in rows[name]] for title, name, text in shown}


def _draw_on_terminal(title: str, cells: Cells) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for name in cells:
        drawn.add_column(name)
    rows = list(zip(*cells.values(), strict=True))
    for row in rows[:MOST_ROWS]:
        drawn.add_row(*row)
    # A reason may hold [brackets] or :words:, which are no markup.
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(drawn)
    if len(rows) > MOST_ROWS:
        console.print(f"... and {len(rows) - MOST_ROWS} more: with --csv FILE, or through a pipe (| less)")


def _print_whole(title: str, cells: Cells) -> None:
    """No cell cut or folded, a line a trial: to be searched and sorted by other tools. (Drawn by rich, 2,000
    trials would take 2 s.)"""
    columns = []
    for name, texts in cells.items():
        lines = [name, *(" ".join(text.split()) for text in texts)]
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines])
    print(title)
    print("\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True)))


def _whole(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) and value == value else ""


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else number_text(value)
    return "" if value is None else str(value)
