"""The report's figures of epochs: learning curves, losses, scores."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.theme import LIGHT, blank
from trial.metrics import DEFAULT, column_of, title_of

MAX_CURVES = 50
FLAT = 10  # times the median loss: from there on a linear axis shows little else


def curves_to_draw(
    table: pd.DataFrame,
    having_epochs: Collection[str],
    keep: Collection[str],
    limit: int = MAX_CURVES,
    metric: str = DEFAULT,
) -> list[str]:
    """Ids of the best `limit` of the trials `having_epochs` by `metric`, and of those in `keep`; the best one
    last, to be drawn on top."""
    known = table[table["trial"].isin(list(having_epochs))]
    order = known.sort_values(column_of(metric), ascending=False, na_position="last")["trial"].tolist()
    wanted = {*order[:limit], *keep}
    return [trial for trial in reversed(order) if trial in wanted]


def learning_curves(
    table: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame],
    marked: Mapping[str, str],
    metric: str,
    limits: Mapping[str, tuple[float, float]],
) -> go.Figure:
    """The score by `metric` per epoch, one line per trial of `curves` (id -> epochs), in their order; trials
    in `marked` (role best, default or median -> id) stand out. `limits`: of the best epoch's score, by id."""
    roles: dict[str, list[str]] = {}
    for name, trial in marked.items():
        roles.setdefault(trial, []).append(name)
    rows = table.set_index("trial")
    figure, unnamed = blank(420, hovermode="closest"), True
    for trial in sorted(curves, key=lambda trial: trial in roles):  # stable: else in the order of `curves`
        epochs, row, role = curves[trial], rows.loc[trial], roles.get(trial, [])
        colour = LIGHT[role[0]] if role else LIGHT["faint"]
        stopped = row["state"] != "done"
        figure.add_scatter(
            x=epochs["epoch"],
            y=epochs.get(column_of(metric)),  # None in runs of earlier versions
            mode="lines+markers",
            line=dict(color=colour, width=3 if role else 1.2, dash="dot" if stopped else "solid"),
            marker=dict(color=colour, size=6 if role else 3),
            opacity=1 if role else 0.8,
            name=f"{' and '.join(role)} (#{row['sequence']})" if role else "other trials",
            showlegend=bool(role) or unnamed,
            legendgroup=trial if role else "others",
            meta=f"#{row['sequence']} {trial}{' (' + row['state'] + ')' if stopped else ''}",
            hovertemplate="%{meta}<br>epoch %{x}: %{y:.3f}<extra></extra>",
        )
        unnamed = unnamed and bool(role)
        if trial in limits:
            low, high = limits[trial]
            score = row[column_of(metric)]
            figure.add_scatter(
                x=[row["best_epoch"]], y=[score], mode="markers", marker=dict(color=colour, size=9),
                error_y=dict(
                    type="data", symmetric=False, array=[high - score], arrayminus=[score - low],
                    color=colour, thickness=2, width=5,
                ),
                legendgroup=trial, showlegend=False, hovertemplate=f"#{row['sequence']}: {score:.3f} "
                f"({low:.3f} to {high:.3f})<extra></extra>",
            )  # fmt: skip
    _epoch_axis(figure, list(curves.values()))
    figure.update_yaxes(title_text=f"validation {title_of(metric)}", rangemode="tozero")
    figure.update_layout(legend_traceorder="reversed")
    return figure


def losses(epochs: pd.DataFrame, metric: str) -> go.Figure:
    """Training and validation loss per epoch of one run, and the validation log loss if `metric` is that; the
    epoch of the best score by `metric` is marked. The axis is logarithmic if one epoch's loss would press the
    others flat."""
    lines = [("train_loss", "training", "muted"), ("validation_loss", "validation", "best")]
    if metric == "log_loss" and column_of(metric) in epochs:
        epochs = epochs.assign(log_loss=-epochs[column_of(metric)])
        lines.append(("log_loss", "log loss (validation)", "median"))
    figure = _by_epoch(epochs, lines, "loss", metric)
    values = epochs.reindex(columns=[column for column, _, _ in lines]).to_numpy(float)
    drawn = values[np.isfinite(values)]
    if len(drawn) and drawn.min() > 0 and drawn.max() > FLAT * np.median(drawn):
        figure.update_yaxes(type="log", nticks=3)  # more of them name 2 to 9, over each other
    return figure


def scores_by_epoch(epochs: pd.DataFrame, metric: str) -> go.Figure:
    """Scores per epoch of one run, those that it has: by `metric` (log loss is among the losses), macro-F1
    and accuracy on validation photos, and training accuracy."""
    tones = iter(("best", "median", "default"))
    shown = dict.fromkeys(["macro_f1" if metric == "log_loss" else metric, "macro_f1", "accuracy"])
    lines = [(column_of(name), f"{title_of(name)} (validation)", next(tones)) for name in shown]
    lines.append(("train_accuracy", "accuracy (training)", "muted"))
    figure = _by_epoch(epochs, lines, "score", metric)
    figure.update_yaxes(range=[0, 1.02])
    return figure


def _by_epoch(
    epochs: pd.DataFrame, lines: Sequence[tuple[str, str, str]], title: str, metric: str
) -> go.Figure:
    """One line for each of `lines` (column, name, tone) that has values; the best epoch is marked."""
    figure = blank(300, hovermode="x unified")
    for column, name, tone in lines:
        if column in epochs and epochs[column].notna().any():
            figure.add_scatter(
                x=epochs["epoch"], y=epochs[column], mode="lines+markers", name=name,
                line=dict(color=LIGHT[tone]), marker=dict(size=5), hovertemplate="%{y:.4f}", showlegend=True,
            )  # fmt: skip
    score = column_of(metric)
    if score in epochs and epochs[score].notna().any():
        best = epochs.loc[epochs[score].idxmax(), "epoch"]
        late = best > (epochs["epoch"].min() + epochs["epoch"].max()) / 2  # more room on the left
        figure.add_vline(x=best, line=dict(color=LIGHT["faint"], dash="dot"))
        figure.add_annotation(
            x=best, y=0, yref="paper", yanchor="bottom", xanchor="right" if late else "left",
            xshift=-4 if late else 4, text="best epoch", showarrow=False, bgcolor=LIGHT["paper"], opacity=0.9,
            font=dict(color=LIGHT["muted"], size=11),
        )  # fmt: skip
    _epoch_axis(figure, [epochs])
    figure.update_yaxes(title_text=title, rangemode="tozero")
    return figure


def _epoch_axis(figure: go.Figure, curves: list[pd.DataFrame]) -> None:
    last = max((int(epochs["epoch"].max()) for epochs in curves), default=1)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**6) if last <= 15 * step)
    figure.update_xaxes(title_text="epoch", dtick=step, range=[0.8 - last / 50, last + last / 50])
