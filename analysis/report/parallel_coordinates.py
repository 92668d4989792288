"""Parallel coordinates of a search: one line per finished trial through every searched column, up to its
score.

Plotly's Parcoords draws them; the axes of names, of missing values and of logarithms, which it lacks, are
computed here.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank
from analysis.trust.attribution import as_numbers, is_log, is_scale
from common.text import value_text
from trial.metrics import DEFAULT, column_of

MAX_LINES = 150  # more would be a solid patch
THICK = 0.002 * np.arange(-2, 3)  # of an axis: offsets that together draw a line of some pixels
BAND = 0.6  # fraction of its step over which the lines of one category are fanned out
GAP = 0.15  # of an axis, between its lowest value and the place of trials without a value


@dataclass(frozen=True)
class Axis:
    """`positions` (N,) along the axis: 0 is its lowest value, 1 its highest, -GAP a missing one; `ticks`
    (position, text)."""

    name: str
    positions: np.ndarray
    ticks: tuple[tuple[float, str], ...]


def parallel_coordinates(
    ranked: pd.DataFrame, columns: list[str], best: str | None = None, metric: str = DEFAULT
) -> go.Figure:
    """The figure of the finished trials `ranked`, coloured by their score (by `metric`); the trial `best` (an
    id) has a colour of its own. Of more than MAX_LINES trials, that many are drawn, evenly over the
    ranking."""
    column = column_of(metric)
    shown = _thinned(ranked.sort_values(column, kind="stable", ignore_index=True), best)
    score = axis_of(column, shown[column], shown[column], steps=False)
    used = [name for name in columns if name in ranked and ranked[name].notna().any()]
    axes = [*(axis_of(name, shown[name], shown[column]) for name in used), score]
    # All lines of Parcoords are one pixel wide, so the best one is drawn several times, side by side.
    is_best = (shown["trial"] == best).to_numpy()
    rows = np.append(np.flatnonzero(~is_best), np.repeat(np.flatnonzero(is_best), len(THICK)))
    offsets = np.append(np.zeros((~is_best).sum()), np.tile(THICK, is_best.sum()))
    figure = blank(490)
    figure.add_parcoords(
        dimensions=[
            dict(
                label=axis.name.replace(".", ".\n"),
                values=(axis.positions[rows] + offsets).round(4),
                range=[min(0, axis.positions.min()), 1],
                tickvals=[place for place, _ in axis.ticks],
                ticktext=[text for _, text in axis.ticks],
            )
            for axis in axes
        ],
        line=dict(  # of two lines, the one with the higher colour value is drawn on top
            color=np.where(is_best, 1.25, score.positions)[rows], cmin=0, cmax=1.25,
            colorscale=[
                [0, LIGHT["faint"]], [0.8, LIGHT["muted"]], [0.8, LIGHT["best"]], [1, LIGHT["best"]],
            ],
        ),
        unselected_line=dict(color=LIGHT["line"], opacity=0.3),
        labelfont_color=LIGHT["muted"],
        tickfont=dict(color=LIGHT["ink"], size=11),
        rangefont_color="rgba(0,0,0,0)",  # the ticks say it
    )  # fmt: skip
    longest = max(len(text) for _, text in axes[0].ticks)
    figure.update_layout(margin=dict(l=max(50, 16 + 7 * longest), r=50, t=88, b=24))
    return figure


def axis_of(name: str, values: pd.Series, scores: pd.Series, steps: bool = True) -> Axis:
    """The axis of one column. Names are ordered by their median score (best on top), sizes by their area."""
    known = values.notna() & (values.astype(str) != "")
    numbers = as_numbers(values)
    if numbers is not None and (is_scale(numbers) or not steps):
        positions, ticks = _scale(numbers.to_numpy())
    else:
        positions, ticks = _steps(values.where(known), numbers, scores)
    positions = np.where(known, positions, -GAP)
    return Axis(name, positions, ticks if known.all() else ((-GAP, value_text(None)), *ticks))


def _thinned(trials: pd.DataFrame, best: str | None) -> pd.DataFrame:
    """At most MAX_LINES trials, evenly spread, with the last one and `best`: more would be a solid patch."""
    if len(trials) <= MAX_LINES:
        return trials
    rows = np.linspace(0, len(trials) - 1, MAX_LINES).astype(int)
    chosen = np.flatnonzero(trials["trial"] == best)
    if len(chosen) and chosen[0] not in rows:
        rows[np.abs(rows[:-1] - chosen[0]).argmin()] = chosen[0]
    return trials.iloc[rows].reset_index(drop=True)


def _steps(values: pd.Series, numbers: pd.Series | None, scores: pd.Series):
    """Positions and ticks of a column of few values; lines of one value are fanned out by their score."""
    names = values.dropna().unique().tolist()
    if numbers is not None:
        names.sort(key=float)
    elif all(re.fullmatch(r"\d+x\d+", str(name)) for name in names):
        names.sort(key=lambda name: int(np.prod([int(side) for side in name.split("x")])))
    else:
        median = scores.groupby(values).median()
        names.sort(key=lambda name: (median[name], str(name)))
    positions = np.full(len(values), -GAP)
    for step, name in enumerate(names):
        rows = np.flatnonzero(values == name)
        fan = scores.iloc[rows].rank(method="first").to_numpy()
        offset = (fan - (len(rows) + 1) / 2) / len(rows) * BAND if len(rows) > 1 else 0
        positions[rows] = (step + 0.5 + offset) / len(names)
    return positions, tuple(((step + 0.5) / len(names), value_text(name)) for step, name in enumerate(names))


def _scale(numbers: np.ndarray):
    """Positions and ticks of a column of numbers."""
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if low == high:
        return np.full(len(numbers), 0.5), ((0.5, value_text(float(low))),)
    if is_log(low, high):
        positions, values = np.log(numbers / low) / np.log(high / low), np.geomspace(low, high, 5)
    else:
        positions, values = (numbers - low) / (high - low), np.linspace(low, high, 5)
    shown = [value_text(float(f"{value:.3g}")) for value in values]
    return positions, tuple(zip(np.linspace(0, 1, 5), shown, strict=True))
