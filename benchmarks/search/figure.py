"""The figure of a comparison of searches: regret against compute."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.report.theme import LIGHT, blank
from benchmarks.search.compare import GRID, PLAYED, Line
from benchmarks.search.rivals import OURS

COLOURS = ["default", "median", "rare", "alarm", "muted", "heat2", "ink", "faint"]


def regret_figure(lines: Sequence[Line]) -> go.Figure:
    """A panel for each table and number of workers: mean regret of each method at each share of the
    compute."""
    panels = list(dict.fromkeys((line.table, line.workers) for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines))
    titles = [f"{table}, {workers} worker{'s' * (workers > 1)}" for table, workers in panels]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows, columns, subplot_titles=titles, shared_xaxes=True, vertical_spacing=0.12 / rows
    )
    height = 340 * rows + 120
    figure.update_layout(blank(height).layout, margin=dict(t=40, b=100))
    figure.update_layout(legend=dict(y=-90 / (height - 140), yanchor="top"))
    shown = GRID <= PLAYED
    rivals = [method for method in methods if method not in OURS]
    dashes = dict(
        zip((method for method in methods if method in OURS), ("solid", "dash", "dot"), strict=False)
    )
    named: set[str] = set()
    for line in lines:
        row, column = divmod(panels.index((line.table, line.workers)), columns)
        ours = line.method in OURS
        colour = "best" if ours else COLOURS[rivals.index(line.method) % len(COLOURS)]
        curve = go.Scatter(
            x=GRID[shown], y=[regret for regret, here in zip(line.regret, shown, strict=True) if here],
            name=line.method, legendgroup=line.method, showlegend=line.method not in named, mode="lines",
            line=dict(color=LIGHT[colour], width=3 if ours else 1.5, dash=dashes.get(line.method)),
        )  # fmt: skip
        named.add(line.method)
        figure.add_trace(curve, row + 1, column + 1)
    figure.update_yaxes(type="log", range=[-3, -0.5], dtick=1, gridcolor=LIGHT["grid"], zeroline=False)
    figure.update_yaxes(title="mean macro-F1 below the best", col=1)
    figure.update_xaxes(tickformat=".0%", gridcolor=LIGHT["grid"])
    figure.update_xaxes(title="share of the compute of training every recipe", row=rows)
    return figure
