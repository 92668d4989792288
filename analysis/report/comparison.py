"""Two experiments side by side: which has the better recipe, by how much, after what time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.best_so_far import best_so_far
from analysis.report.classes import MAX_BARS, class_table
from analysis.report.damaged import read_or_note
from analysis.report.page import score_text, write_page
from analysis.report.tables import count_words, side_by_side
from analysis.report.theme import LIGHT, blank
from analysis.trials.hours import HOURS, unit_of
from analysis.trials.ranking import Ranking
from analysis.trials.table import recipe_columns
from analysis.trust.answers import validation_of
from analysis.trust.compare import Comparison, compare
from common.errors import UsageError, first_line
from common.text import few, fixed_text
from trial.metrics import title_of
from trial.run_folder.record import VALIDATION, RunFolder

TONES = ("best", "default")
ROW, ASIDE = 24, 0.16  # pixels of a class; by how much of it the two are apart


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: what it is called in the command, and its ranked trials."""

    name: str
    ranking: Ranking

    @property
    def folder(self) -> Path | None:
        """The run folder of its best trial."""
        first = self.ranking.first
        return None if first is None else Path(first["folder"])


def write_comparison(out: Path, one: Side, other: Side) -> Path:
    """Write the self-contained page `out` on two experiments (or folders of runs). UsageError if nothing has
    finished in one of them, or if they differ in their metric."""
    sides = (one, other)
    if unfinished := [side.name for side in sides if side.folder is None]:
        raise UsageError(f"{few(unfinished)}: no trial has finished, so there is nothing to compare")
    if one.ranking.metric != other.ranking.metric:
        metrics = " and ".join(title_of(side.ranking.metric) for side in sides)
        raise UsageError(f"{one.name} and {other.name} are ranked by different metrics ({metrics})")
    notes: list[str] = []
    runs = [RunFolder(side.folder) for side in sides if side.folder]
    paired = _paired(runs, notes)
    tables = [
        read_or_note(partial(validation_of, run.folder), run.folder / VALIDATION, notes) for run in runs
    ]
    task, its = (read_or_note(run.task, run.folder / "task.json", notes) for run in runs)
    if task and its and its.classes != task.classes:
        notes.append("They have different classes, so their scores do not compare.")
        task = None
    rows = [side.ranking.ranked.iloc[0] for side in sides]
    names = list(dict.fromkeys(name for side in sides for name in recipe_columns(side.ranking.table)))
    lines = None
    if task and all(table is not None for table in tables) and task.n_classes <= MAX_BARS:
        lines = recalls_figure([class_table(table, task) for table in tables], [one.name, other.name])  # type: ignore[arg-type]
    progress = [best_so_far(side.ranking) for side in sides]
    return write_page(
        out,
        "comparison.html.j2",
        names=[one.name, other.name],
        verdict=_verdict(paired, one, other),
        notes=notes,
        facts=[fact for side, tone in zip(sides, TONES, strict=True) for fact in _facts(side, tone)],
        counts=[f"{side.name}: {count_words(side.ranking.table)}" for side in sides],
        lines=paired.lines() if paired else [],
        progress=progress_figure(progress, sides) if all(len(rows) for rows in progress) else None,
        recipe=side_by_side(rows, names),
        recalls=lines,
        groups=task.groups if task else "groups",
    )


def sides_of(wanted: Sequence[str], rankings: Sequence[Ranking]) -> list[Side]:
    """The two by the last part of what they were asked for by, or all of it if that is the same."""
    short = [Path(name).name or name for name in wanted]
    names = short if len(set(short)) == len(short) else wanted
    return [Side(name, ranking) for name, ranking in zip(names, rankings, strict=True)]


def _paired(runs: Sequence[RunFolder], notes: list[str]) -> Comparison | None:
    """The difference of the best runs on the photos that both were validated on."""
    try:
        return compare(runs[0].folder, runs[1].folder)
    except UsageError as error:
        notes.append(f"Their best trials can't be compared photo by photo: {first_line(error)}.")
        return None


def _verdict(paired: Comparison | None, one: Side, other: Side) -> str:
    """The answer in a sentence."""
    title = one.ranking.score
    if paired is None:
        return "Which is better can't be said: they were not validated on the same photos."
    mine, its, gap = paired.scores[one.ranking.metric]
    of_best = f"best trials on the {gap.n_groups:,} {paired.groups} that both were validated on"
    scores = f"{title} {fixed_text(mine.value)} and {fixed_text(its.value)}, difference {gap}"
    if gap.contains_zero:
        return f"The {of_best} are not significantly different: {scores}."
    better = one if gap.value > 0 else other
    return f"{better.name} is better, by the {of_best}: {scores}."


def _facts(side: Side, tone: str) -> list[dict[str, str]]:
    ranking = side.ranking
    best, promise = ranking.ranked.iloc[0], ranking.leaders.promise
    words = f"{ranking.score}, best of {len(ranking.ranked)} finished, trial #{best['sequence']}"
    facts = [dict(role=tone, title=side.name, text=score_text(best[ranking.column]), words=words)]
    if promise is not None:
        limits = f"95 %: {fixed_text(promise.low)} to {fixed_text(promise.high)}"
        title = f"Promised by {side.name}"
        facts.append(dict(role=tone, title=title, text=score_text(promise.value), words=limits))
    return facts


def progress_figure(tables: Sequence[pd.DataFrame], sides: Sequence[Side]) -> go.Figure:
    """The best score so far of both (`best_so_far`) against the time of search."""
    figure = blank(340, hovermode="closest")
    factor, unit = unit_of(max(rows[HOURS].max() for rows in tables))
    for rows, side, tone in zip(tables, sides, TONES, strict=True):
        line = rows.dropna(subset="best")
        figure.add_scatter(
            x=factor * line[HOURS], y=line["best"], mode="lines", name=side.name, showlegend=True,
            line=dict(color=LIGHT[tone], width=2, shape="hv"), hoverinfo="skip", legendgroup=side.name,
        )  # fmt: skip
        figure.add_scatter(
            x=factor * rows[HOURS], y=rows["score"], mode="markers", showlegend=False, opacity=0.6,
            marker=dict(color=LIGHT[tone], size=6), legendgroup=side.name,
            customdata=rows["sequence"], hovertemplate="#%{customdata}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=f"{unit} of search", rangemode="tozero")
    figure.update_yaxes(title_text=f"validation {sides[0].ranking.score}")
    return figure


def recalls_figure(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> go.Figure:
    """The recall of each class by the best trial of either, with intervals. `tables`: of `class_table`."""
    figure, places = blank(110 + ROW * len(tables[0])), np.arange(len(tables[0]))
    for table, name, tone, aside in zip(tables, names, TONES, (-ASIDE, ASIDE), strict=True):
        figure.add_scatter(
            x=table["recall"], y=places + aside, mode="markers", name=name, showlegend=True,
            marker=dict(color=LIGHT[tone], size=8),
            error_x=dict(
                type="data", symmetric=False, color=LIGHT[tone], thickness=1.2, width=3,
                array=table["high"] - table["recall"], arrayminus=table["recall"] - table["low"],
            ),
            customdata=table[["name", "hits", "photos"]],
            hovertemplate="%{customdata[0]}: %{customdata[1]} of %{customdata[2]} photos<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=tables[0]["name"], zeroline=False)
    figure.update_xaxes(range=[-0.02, 1.02], title_text="recall")
    return figure
