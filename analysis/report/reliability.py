"""The reliability diagram: how often photos predicted with some confidence are predicted correctly."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank
from analysis.trust.calibration import calibration_error


def reliability_diagram(table: pd.DataFrame) -> go.Figure:
    """The line of a table of `analysis.trust.calibration.reliability`, with its expected calibration error;
    the diagonal is perfect."""
    figure = blank(360, hovermode="closest")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line=dict(color=LIGHT["faint"], dash="dot"), name="perfect",
        hoverinfo="skip", showlegend=True,
    )  # fmt: skip
    figure.add_scatter(
        x=table["confidence"], y=table["accuracy"], customdata=table["photos"], mode="lines+markers",
        name=f"this network: error {calibration_error(table):.3f}", line=dict(color=LIGHT["best"]),
        marker=dict(size=6), showlegend=True,
        hovertemplate="confidence %{x:.2f}: %{y:.1%} of %{customdata:,} photos correct<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="confidence (highest probability)", range=[0, 1.02])
    figure.update_yaxes(title_text="fraction predicted correctly", range=[0, 1.02])
    return figure
