"""Parallel coordinates of a search: a line a trial through every searched column, up to its macro-F1.

Drawn as plain lines rather than plotly's own kind, which needs WebGL and knows no missing values.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank

# Up to which share of the finished trials, worst first: name in the legend (a click hides it), tone.
GROUPS = ((0.5, "lower half", "line"), (0.9, "upper half", "faint"), (1.0, "best tenth", "heat2"))
FEW = 20  # finished trials, of which each deserves to be seen well
GROUPS_OF_FEW = ((0.5, "lower half", "faint"), (1.0, "upper half", "heat2"))
MOST_LINES = 80  # of a group
MISSING = -0.12  # where a line runs that has no value there: below the axis
MOST_CATEGORIES = 6  # that many numbers, each there twice on average, are shown as steps, not as a scale
BAND = 0.6  # share of its step over which the lines of one category are fanned out
LOG_FROM = 20  # a scale whose ends differ by this factor is logarithmic


@dataclass(frozen=True)
class Axis:
    """`positions` (N,), 0 to 1 up the axis, MISSING where a trial has no value; `ticks` (position, text)."""

    name: str
    positions: np.ndarray
    ticks: tuple[tuple[float, str], ...]


def axis_of(name: str, values: pd.Series, scores: pd.Series) -> Axis:
    """The axis of one column. Names are ordered by their median score (best on top), sizes by their area."""
    there = values.notna() & (values.astype(str) != "")
    numbers = pd.to_numeric(values.where(there), errors="coerce").astype(float)
    is_number = bool(numbers[there].notna().all()) and not values[there].map(type).eq(bool).any()
    few = numbers.nunique() <= min(MOST_CATEGORIES, there.sum() / 2)
    if is_number and not few:
        positions, ticks = _scale(numbers.to_numpy())
    else:
        positions, ticks = _steps(values.where(there), numbers if is_number else None, scores)
    positions = np.where(there, positions, MISSING)
    return Axis(name, positions, ticks if there.all() else ((MISSING, "–"), *ticks))


def axes_of(table: pd.DataFrame, columns: list[str]) -> list[Axis]:
    """An axis for each column that has a value in any trial, then macro-F1 as the last one."""
    scores = table["macro_f1"].astype(float)
    used = [name for name in columns if name in table and table[name].notna().any()]
    axes = [axis_of(name, table[name], scores) for name in used]
    return [*axes, Axis("macro_f1", *_scale(scores.to_numpy()))]


def parallel_coordinates(table: pd.DataFrame, columns: list[str], best: str | None = None) -> go.Figure:
    """Lines of all trials of `table` that have a score: finished ones in groups by it, `best` (an id) on
    top, those that were stopped early dotted and hidden until the legend switches them on."""
    table = table[table["macro_f1"].notna() & table["state"].isin(["done", "stopped_early"])]
    table = table.sort_values("macro_f1", kind="stable", ignore_index=True)
    axes = axes_of(table, columns)
    done = table["state"].eq("done").to_numpy()
    figure = blank(460, hovermode="closest")
    _add(figure, table, axes, _thinned(np.flatnonzero(~done)), LIGHT["faint"], "stopped early", dash="dot")
    finished, start = np.flatnonzero(done), 0
    for share, name, tone in GROUPS if len(finished) > FEW else GROUPS_OF_FEW:
        end = int(np.ceil(share * len(finished)))
        _add(figure, table, axes, _thinned(finished[start:end]), LIGHT[tone], name)
        start = end
    if best is not None:
        _add(figure, table, axes, np.flatnonzero(table["trial"] == best), LIGHT["best"], "best", width=4)
    for place, axis in enumerate(axes):
        figure.add_shape(
            type="line", x0=place, x1=place, y0=0, y1=1, line=dict(color=LIGHT["muted"], width=1)
        )
        for height, text in axis.ticks:
            figure.add_annotation(
                x=place, y=height, text=text, showarrow=False, xanchor="left", xshift=4,
                bgcolor=LIGHT["paper"], opacity=0.9, borderpad=1, font=dict(size=11, color=LIGHT["ink"]),
            )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(axes))), side="top", tickangle=0,
        ticktext=[axis.name.replace(".", ".<br>") for axis in axes],
        range=[-0.35, len(axes) - 1 + 0.35], showgrid=False, showline=False, fixedrange=True,
        tickfont_color=LIGHT["muted"],
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.2, 1.06], fixedrange=True)
    figure.update_layout(legend=dict(y=-0.02, yanchor="top"), margin_t=56)
    return figure


def _thinned(rows: np.ndarray) -> np.ndarray:
    """At most MOST_LINES of `rows`, evenly spread and with the last one: more would be a solid patch."""
    if len(rows) <= MOST_LINES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_LINES).astype(int)]


def _add(figure: go.Figure, table, axes, rows, colour: str, name: str, width=1.3, dash="solid"):
    """One trace for many lines, a gap between each: thousands of traces would be slow to draw."""
    if not len(rows):
        return
    heights = np.stack([axis.positions[rows] for axis in axes], axis=1)
    gap = np.full((len(rows), 1), np.nan)
    places = np.tile([*range(len(axes)), np.nan], (len(rows), 1))
    scores, numbers = table["macro_f1"].to_numpy()[rows], table["sequence"].to_numpy()[rows]
    texts = np.array([f"#{n}: macro-F1 {s:.3f}" for n, s in zip(numbers, scores, strict=True)], dtype=object)
    figure.add_scatter(
        x=places.ravel(), y=np.hstack([heights, gap]).ravel().round(4), text=np.repeat(texts, len(axes) + 1),
        mode="lines", line=dict(color=colour, width=width, dash=dash), opacity=0.85, name=name,
        showlegend=True, hovertemplate="%{text}<extra></extra>",
        visible="legendonly" if dash == "dot" else True,
    )  # fmt: skip


def _steps(values: pd.Series, numbers: pd.Series | None, scores: pd.Series):
    """Positions and ticks of a column of few values; lines of one value are fanned out by their score."""
    names = values.dropna().unique().tolist()
    if numbers is not None:
        names.sort(key=float)
    elif all(re.fullmatch(r"\d+x\d+", str(name)) for name in names):
        names.sort(key=lambda name: int(np.prod([int(side) for side in name.split("x")])))
    else:
        middle = scores.groupby(values).median()
        names.sort(key=lambda name: (middle[name], str(name)))
    positions = np.full(len(values), MISSING)
    for step, name in enumerate(names):
        rows = np.flatnonzero(values == name)
        fan = scores.iloc[rows].rank(method="first").to_numpy()
        offset = (fan - (len(rows) + 1) / 2) / len(rows) * BAND if len(rows) > 1 else 0
        positions[rows] = (step + 0.5 + offset) / len(names)
    return positions, tuple(((step + 0.5) / len(names), _text(name)) for step, name in enumerate(names))


def _scale(numbers: np.ndarray) -> tuple[np.ndarray, tuple[tuple[float, str], ...]]:
    """Positions and ticks of a column of numbers, lowest at 0, highest at 1."""
    if not len(numbers):
        return numbers, ()
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if low == high:
        return np.where(np.isnan(numbers), np.nan, 0.5), ((0.5, _text(low)),)
    if low > 0 and high / low >= LOG_FROM:
        positions, at = _scale_between(np.log(numbers), np.log(low), np.log(high))
        values = np.exp(at)
    else:
        positions, values = _scale_between(numbers, low, high)
    return positions, tuple((share, _text(v)) for share, v in zip(np.linspace(0, 1, 5), values, strict=True))


def _scale_between(numbers: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    return (numbers - low) / (high - low), np.linspace(low, high, 5)


def _text(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
