"""The trials table as text: for a terminal, for a pipe or log, and as trials.csv."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.trials.hours import hours_words
from analysis.trials.ranking import Ranking
from analysis.trials.repeats import REPEATED
from analysis.trials.runs import groups_word
from analysis.trust.curves import STEADY
from analysis.trust.leaders import promise_words
from common.files import write_sheet
from common.log import output_of
from common.text import fixed_text, value_text
from trial.run_folder.record import RunFolder

output = output_of(__name__)

LOW, HIGH, LIMITS = "score_low", "score_high", "95 %"  # the interval of a score: two numbers, or as text
TITLES = {"chosen_by": "chosen by", STEADY: "mean of 3 epochs"}
MAX_ROWS = 100  # of each table in a terminal: more would push the best trials out of sight

ZERO = ", not significantly different from none"  # of an effect

Cells = dict[str, list[str]]


def print_trials(ranking: Ranking) -> None:
    """Print the finished trials, best first, with what the search varied; then the others and why."""
    attrs = ranking.table.attrs
    draw = _draw_in_terminal if sys.stdout.isatty() else _print_whole
    score = ranking.score, ranking.column
    extra = ["chosen_by", *attrs["searched"]]
    draw(
        f"{len(ranking.ranked)} finished, best first",
        _cells(with_limits(ranking), score, [STEADY, LIMITS, *extra]),
    )
    if attrs.get("note"):
        output.info(attrs["note"])
    if ranking.note:
        output.info(f"note: {ranking.note}")
    if not ranking.unranked.empty:
        draw(
            f"{len(ranking.unranked)} not ranked",
            _cells(ranking.unranked, score, [*extra[:1], *attrs["searched"][:1], "reason"]),
        )
    for words in (*trust_words(ranking), attrs.get("chosen"), hours_words(ranking)):
        if words:
            output.info(words)


def write_trials(ranking: Ranking, path: Path) -> Path:
    """Write trials.csv: the finished trials, best first, then the others. No text of it is a formula."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = pd.concat([with_limits(ranking).drop(columns=LIMITS), ranking.unranked])
    return write_sheet(path, ordered)


def with_limits(ranking: Ranking) -> pd.DataFrame:
    """The ranked trials with the 95 % intervals of the leaders' scores: columns LOW and HIGH, LIMITS as
    text."""
    ranked, found = ranking.ranked.copy(), ranking.leaders.intervals
    known = [found.get(Path(folder)) for folder in ranked.get("folder", [""] * len(ranked))]
    ranked[STEADY] = ranked.get(STEADY, float("nan"))
    ranked[LOW] = [None if one is None else round(one.low, 4) for one in known]
    ranked[HIGH] = [None if one is None else round(one.high, 4) for one in known]
    ranked[LIMITS] = [
        "" if one is None else f"{fixed_text(one.low)} to {fixed_text(one.high)}" for one in known
    ]
    return ranked


def trust_words(ranking: Ranking) -> list[str]:
    """Sentences on what the best trial promises, and on what could not be said of it."""
    leaders = ranking.leaders
    notes = [f"note: {note}" for note in (*leaders.notes, *_repeats_words(ranking))]
    if leaders.promise is None:
        return notes
    return [promise_words(leaders, ranking.numbers, groups_word(RunFolder(leaders.runs[0]))), *notes]


def _repeats_words(ranking: Ranking) -> list[str]:
    """How trials with several seeds or folds are ranked."""
    if ranking.repeats:
        return [ranking.repeats.words]
    repeated = [name for name in REPEATED if name in ranking.table.attrs.get("searched", ())]
    if not repeated or len(ranking.ranked) < 2 or ranking.table.attrs.get("note"):
        return []
    return [
        f"the trials differ in {' and '.join(repeated)}, which decides who validates, and no two recipes "
        "were trained with all values: the first trial may be no more than a lucky one"
    ]


def print_attribution(ranking: Ranking) -> None:
    """Print how much each searched parameter decides the score, and the effects of their values."""
    found = ranking.attribution
    if found.importance:
        output.info(f"importance for the {ranking.score} of {found.n_trials:,} finished trials")
        output.info("\n".join(f"  {one}" for one in found.importance))
    if found.effects:
        output.info(f"effects on the {ranking.score} with the rest equal, ± for 95 %")
        output.info("\n".join(f"  {one}{ZERO if one.contains_zero else ''}" for one in found.effects))
    for note in found.notes:
        output.info(f"note: {note}")


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
    output.info(title)
    output.info("\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True)))


def _integer(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) and value == value else ""
