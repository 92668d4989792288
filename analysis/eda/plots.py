"""The figures of the data page; each draws a table of facts.py."""

from itertools import accumulate

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import HEAT, LIGHT, blank
from dataset.face_masks.labels import AGE_BANDS, GENDERS, MASKS, age_band, is_oldest

TONES = {"male": "best", "female": "default"}


def ages(by_age: pd.DataFrame) -> go.Figure:
    """Number of people by year of age, stacked by gender, with the borders between age bands."""
    figure = blank(320, barmode="stack", bargap=0.15, hovermode="x unified")
    for gender in by_age.columns:
        figure.add_bar(
            x=by_age.index,
            y=by_age[gender],
            name=gender,
            marker_color=LIGHT[TONES[gender]],
            hovertemplate="%{y} people",
        )
    years = by_age.index.tolist()
    for border in [age for age in years[1:] if age_band(age) != age_band(age - 1)]:
        figure.add_vline(x=border - 0.5, line=dict(color=LIGHT["ink"], width=1, dash="dash"))
        figure.add_annotation(
            x=border - 0.5, y=1, yref="paper", yanchor="bottom", text=f"from {border}", showarrow=False,
            font=dict(color=LIGHT["ink"], size=11),
        )  # fmt: skip
    figure.update_xaxes(title_text="age in years", showgrid=False)
    figure.update_yaxes(title_text="people")
    figure.update_layout(legend_y=1.1, margin_t=56)
    return figure


def classes(by_class: pd.DataFrame) -> go.Figure:
    """Number of photos of each class as a bar; classes of the oldest age band have their own colour."""
    figure = blank(500, bargap=0.35, showlegend=False)
    figure.add_bar(
        x=by_class["photos"],
        y=by_class["name"],
        orientation="h",
        marker_color=[LIGHT["rare" if is_oldest(label) else "best"] for label in range(len(by_class))],
        text=[f"{row.photos:,}  ({row.fraction:.1%})" for row in by_class.itertuples()],
        textposition="outside",
        cliponaxis=False,
        customdata=by_class["people"],
        hovertemplate="%{y}: %{x:,} photos of %{customdata:,} people<extra></extra>",
    )
    figure.update_yaxes(categoryorder="array", categoryarray=by_class["name"][::-1], showgrid=False)
    figure.update_xaxes(title_text="photos", range=[0, 1.35 * max(1, by_class["photos"].max())])
    return figure


def co_occurrence(counts: pd.DataFrame) -> go.Figure:
    """P(column value given row value), for values of different factors."""
    kinds = np.repeat(range(3), (len(MASKS), len(GENDERS), len(AGE_BANDS)))
    photos = counts.to_numpy()
    fractions = photos / np.maximum(photos.diagonal(), 1)[:, None]
    fractions = np.where(kinds[:, None] == kinds, np.nan, fractions)
    names = counts.columns.tolist()
    figure = blank(380)
    figure.add_heatmap(
        z=fractions, x=names, y=names, customdata=photos, zmin=0, zmax=1, colorscale=HEAT, xgap=1, ygap=1,
        text=[[f"{value:.1%}" if value == value else "" for value in row] for row in fractions],
        texttemplate="%{text}", showscale=False, hoverongaps=False,
        hovertemplate="%{y} and %{x}: %{customdata:,} photos<br>%{z:.1%} of those %{y}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", title_text="of photos", showgrid=False, ticks="")
    figure.update_xaxes(title_text="fraction that is", showgrid=False, ticks="", side="top")
    for border in list(accumulate((len(MASKS), len(GENDERS)))):
        for line in (figure.add_hline, figure.add_vline):
            line(border - 0.5, line=dict(color=LIGHT["muted"], width=1))
    figure.update_layout(margin_t=64)
    return figure
