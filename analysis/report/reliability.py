"""The reliability diagram: how often photos predicted with some confidence are predicted correctly."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank
from analysis.trust.calibration import calibration_error

LINES = ("best", "median", "default")


def reliability_diagram(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """A line for each of up to three `analysis.trust.calibration.reliability` tables by its name ('as
    trained', 'with temperature 1.4'), with its expected calibration error; the diagonal is perfect."""
    figure = blank(360, hovermode="closest")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line=dict(color=LIGHT["faint"], dash="dot"), name="perfect",
        hoverinfo="skip", showlegend=True,
    )  # fmt: skip
    for tone, (name, table) in zip(LINES, tables.items(), strict=False):
        figure.add_scatter(
            x=table["confidence"], y=table["accuracy"], customdata=table["photos"], mode="lines+markers",
            name=f"{name}: error {calibration_error(table):.3f}", line=dict(color=LIGHT[tone]),
            marker=dict(size=6), showlegend=True,
            hovertemplate="confidence %{x:.2f}: %{y:.1%} of %{customdata:,} photos correct<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="confidence (highest probability)", range=[0, 1.02])
    figure.update_yaxes(title_text="fraction predicted correctly", range=[0, 1.02])
    return figure
