"""The figures of what decides a search's score: importance of parameters, effects of their values."""

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank
from analysis.trust.attribution import Effect, Importance
from common.text import shortened

MAX_EFFECTS = 24  # drawn; a table has all
ROW, LINES = 26, 40  # pixels of a row with one line, and with two
MAX_NAME = 26  # characters of a value


def importance_figure(importance: Sequence[Importance]) -> go.Figure:
    """A bar with its interval for each parameter; those that chance would show as much of are grey."""
    figure = blank(70 + ROW * len(importance), bargap=0.35)
    for by_chance, name, tone in (
        (False, "more than chance", "best"),
        (True, "no more than chance", "faint"),
    ):
        some = [one for one in importance if one.by_chance == by_chance]
        if not some:
            continue
        figure.add_bar(
            x=[one.value for one in some], y=[one.name for one in some], orientation="h", name=name,
            marker_color=LIGHT[tone], showlegend=True,
            error_x=dict(
                type="data", symmetric=False, color=LIGHT["muted"], thickness=1.2, width=3,
                array=[one.high - one.value for one in some],
                arrayminus=[one.value - one.low for one in some],
            ),
            customdata=[(one.low, one.high) for one in some],
            hovertemplate="%{y}: %{x:.0%} (%{customdata[0]:.0%} to %{customdata[1]:.0%})<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        categoryorder="array", categoryarray=[one.name for one in importance][::-1], showgrid=False
    )
    figure.update_xaxes(title_text="fraction of all importance", tickformat=".0%", rangemode="tozero")
    return figure


def effects_figure(effects: Sequence[Effect], score: str) -> go.Figure:
    """A point with its interval for each effect on the `score`; those whose interval contains 0 are grey."""
    shown = effects[:MAX_EFFECTS]
    figure, names = blank(80 + LINES * len(shown)), {one: _label(one) for one in shown}
    figure.add_vline(x=0, line=dict(color=LIGHT["muted"], width=1))
    for none, name, tone in (
        (False, "differs from 0", "best"),
        (True, "not significantly different from 0", "faint"),
    ):
        some = [one for one in shown if one.contains_zero == none]
        if not some:
            continue
        figure.add_scatter(
            x=[one.effect for one in some], y=[names[one] for one in some], mode="markers", name=name,
            marker=dict(color=LIGHT[tone], size=9), showlegend=True,
            error_x=dict(
                type="data", array=[one.margin for one in some], color=LIGHT[tone], thickness=1.5, width=4
            ),
            text=[str(one) for one in some], hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        categoryorder="array", categoryarray=[names[one] for one in shown][::-1], showgrid=False
    )
    figure.update_xaxes(title_text=f"change of the {score}")
    return figure


def _label(effect: Effect) -> str:
    value, other = shortened(effect.value, MAX_NAME), shortened(effect.other, MAX_NAME)
    return f"{effect.name} {value}\ninstead of {other}"
