"""The trials table for a terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.select import rank


def print_trials(table: pd.DataFrame) -> None:
    """Finished trials, best first, with what the search varied; the others below, with their reasons."""
    ranked = rank(table)
    apart = table.drop(ranked.index)
    searched = table.attrs["searched"]
    console = Console()
    # A log has no width of its own: rows there must not be cut to 80 columns.
    console = console if console.is_terminal else Console(width=200)
    console.print(_drawn(f"{len(ranked)} finished, best first", ranked, searched))
    if not apart.empty:
        console.print(_drawn(f"{len(apart)} not ranked", apart, [*searched[:1], "reason"]))


def _drawn(title: str, rows: pd.DataFrame, extra: list[str]) -> Table:
    drawn = Table(title=title, title_justify="left")
    for name in ("#", "trial", "state", "macro-F1", "best epoch", "seconds", *extra):
        drawn.add_column(name)
    for _, row in rows.iterrows():
        numbers = [_text(row["macro_f1"]), _whole(row["best_epoch"]), _whole(row["seconds"])]
        values = [_text(row.get(name)) for name in extra]
        drawn.add_row(str(row["sequence"]), row["trial"], row["state"], *numbers, *values)
    return drawn


def _whole(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.0f}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return "" if value is None else str(value)
