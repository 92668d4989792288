"""The figures of the data page; each draws a table of facts.py."""

from collections.abc import Collection, Sequence
from itertools import accumulate, cycle

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import HEAT, LIGHT, blank
from common.text import shortened
from dataset.task import Bands

STACKED = ("best", "default", "median", "rare", "alarm", "muted")  # tones
MAX_NAMED = 60  # classes with a bar and a name of their own
MAX_VALUES = 40  # of all factors, in a figure of their co-occurrence
MAX_LETTERS = 40  # of a name beside a bar


def numbers(by_number: pd.DataFrame, bands: Bands, groups: str) -> go.Figure:
    """Number of groups by the number that a factor was made of, stacked by another factor, with the borders
    between bands. `groups`: what groups are called."""
    figure = blank(320, barmode="stack", bargap=0.15, hovermode="x unified")
    for name, tone in zip(by_number.columns, cycle(STACKED)):
        figure.add_bar(
            x=by_number.index,
            y=by_number[name],
            name=name,
            marker_color=LIGHT[tone],
            meta=groups,
            hovertemplate="%{y} %{meta}",
        )
    low, high = by_number.index.min(), by_number.index.max()
    half = 0.5 if pd.api.types.is_integer_dtype(by_number.index) else 0  # a bar of an integer is around it
    for border in [edge for edge in bands.edges if low < edge <= high]:
        figure.add_vline(x=border - half, line=dict(color=LIGHT["ink"], width=1, dash="dash"))
        figure.add_annotation(
            x=border - half, y=1, yref="paper", yanchor="bottom", text=f"from {border}", showarrow=False,
            font=dict(color=LIGHT["ink"], size=11),
        )  # fmt: skip
    figure.update_xaxes(title_text=bands.title, showgrid=False)
    figure.update_yaxes(title_text=groups)
    figure.update_layout(legend_y=1.1, margin_t=56)
    return figure


def classes(by_class: pd.DataFrame, rare: Collection[int], groups: str) -> go.Figure:
    """Number of photos of each class as a bar; `rare` classes (labels) have their own colour. More than
    MAX_NAMED classes are sorted by their number of photos, without names beside the bars."""
    tones = np.array([LIGHT["rare" if label in rare else "best"] for label in range(len(by_class))])
    of_groups = "" if groups == "photos" else " of %{customdata:,} %{meta}"
    if len(by_class) > MAX_NAMED:
        order = np.argsort(-by_class["photos"].to_numpy(), kind="stable")
        some = by_class.iloc[order]
        figure = blank(340, bargap=0.1, showlegend=False)
        figure.add_bar(
            x=list(range(1, len(some) + 1)),
            y=some["photos"],
            marker_color=tones[order].tolist(),
            marker_line_width=0,
            customdata=some["groups"],
            meta=groups,
            hovertext=some["name"],
            hovertemplate=f"%{{hovertext}}: %{{y:,}} photos{of_groups}<extra></extra>",
        )
        figure.update_xaxes(title_text="classes, by their number of photos", showgrid=False)
        figure.update_yaxes(title_text="photos")
        return figure
    names = _short(by_class["name"].tolist())
    figure = blank(68 + 24 * max(4, len(by_class)), bargap=0.35, showlegend=False)
    figure.add_bar(
        x=by_class["photos"],
        y=names,
        orientation="h",
        marker_color=tones.tolist(),
        text=[
            f"{photos:,}  ({fraction:.1%})"
            for photos, fraction in zip(by_class["photos"], by_class["fraction"], strict=True)
        ],
        textposition="outside",
        cliponaxis=False,
        customdata=by_class["groups"],
        meta=groups,
        hovertext=by_class["name"],
        hovertemplate=f"%{{hovertext}}: %{{x:,}} photos{of_groups}<extra></extra>",
    )
    # Names of digits would be taken as numbers.
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1], showgrid=False)
    figure.update_xaxes(title_text="photos", range=[0, 1.35 * max(1, by_class["photos"].max())])
    return figure


def co_occurrence(counts: pd.DataFrame) -> go.Figure:
    """P(column value given row value), for values of different factors."""
    factors = counts.columns.get_level_values(0)
    sizes = [int((factors == factor).sum()) for factor in factors.unique()]
    kinds = np.repeat(range(len(sizes)), sizes)
    photos = counts.to_numpy()
    fractions = photos / np.maximum(photos.diagonal(), 1)[:, None]
    fractions = np.where(kinds[:, None] == kinds, np.nan, fractions)
    values = counts.columns.get_level_values(1)
    # The same value of two factors (yes, no) would be drawn as one.
    names = values.tolist() if values.is_unique else [f"{factor}: {name}" for factor, name in counts.columns]
    names = _short(names)
    figure = blank(84 + 37 * max(4, len(names)))
    figure.add_heatmap(
        z=fractions, x=names, y=names, customdata=photos, zmin=0, zmax=1, colorscale=HEAT, xgap=1, ygap=1,
        text=[[f"{value:.1%}" if value == value else "" for value in row] for row in fractions],
        texttemplate="%{text}", showscale=False, hoverongaps=False,
        hovertemplate="%{y} and %{x}: %{customdata:,} photos<br>%{z:.1%} of those %{y}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(
        type="category", autorange="reversed", title_text="of photos", showgrid=False, ticks=""
    )
    figure.update_xaxes(type="category", title_text="fraction that is", showgrid=False, ticks="", side="top")
    for border in list(accumulate(sizes[:-1])):
        for line in (figure.add_hline, figure.add_vline):
            line(border - 0.5, line=dict(color=LIGHT["muted"], width=1))
    figure.update_layout(margin_t=64)
    return figure


def _short(names: Sequence[str]) -> list[str]:
    """The names, cut to MAX_LETTERS if they can still be told apart."""
    cut = [shortened(name, MAX_LETTERS) for name in names]
    return cut if len(set(cut)) == len(set(names)) else list(names)
