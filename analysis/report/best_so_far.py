"""The best score of a search against its hours."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from analysis.report.tables import STATES
from analysis.report.theme import LIGHT, blank
from analysis.trials.hours import HOURS, unit_of
from analysis.trials.ranking import Ranking
from trial.metrics import title_of
from trial.run_folder.status import DAMAGED

MANY = 100  # trials; the points of more are smaller
FEW = 30  # intervals of more trials would hide their points
SYMBOLS = {True: "circle", False: "circle-open"}  # of a trial that has finished, or has not


def best_so_far(ranking: Ranking) -> pd.DataFrame:
    """The trials that have a score by the ranking's metric, in the order in which they ended: sequence,
    trial, state, hours, score, low and high (its interval, NaN if unknown), finished, best (the highest
    score of a finished trial by then, NaN if none had).

    Mismatched and damaged trials are left out, since their scores are of other values than recorded, or can't
    be believed. Empty for a table without hours.
    """
    table, column = ranking.table, ranking.column
    if HOURS not in table:
        table = table.assign(hours=float("nan"))
    known = table[~table["state"].isin(["mismatch", DAMAGED])].dropna(subset=[HOURS, column])
    known = known.sort_values([HOURS, "sequence"], ignore_index=True)
    finished = known["trial"].isin(ranking.ranked["trial"])
    rows = known[["sequence", "trial", "state", HOURS]].assign(score=known[column], finished=finished)
    limits = limits_of(ranking)
    for place, name in enumerate(("low", "high")):
        rows[name] = [limits[trial][place] if trial in limits else float("nan") for trial in rows["trial"]]
    return rows.assign(best=rows["score"].where(finished).cummax().ffill())


def limits_of(ranking: Ranking) -> dict[str, tuple[float, float]]:
    """{trial: (low, high)} of the scores of the leaders whose answers can be read."""
    found = ranking.leaders.intervals
    pairs = ranking.ranked[["trial", "folder"]].to_numpy() if found else ()
    known = ((trial, found.get(Path(folder))) for trial, folder in pairs)
    return {trial: (its.low, its.high) for trial, its in known if its is not None}


def best_so_far_figure(rows: pd.DataFrame, marked: Mapping[str, str], metric: str) -> go.Figure:
    """The figure of `best_so_far`: a line of the best score and a point per trial; those in `marked` (role
    best, default or median -> id) stand out. Intervals are drawn of these, and of up to FEW trials. Hours
    below 1 are drawn as minutes."""
    figure = blank(340, hovermode="closest")
    factor, unit = unit_of(rows[HOURS].max())

    def add(some: pd.DataFrame, name: str, tone: str, size: int, bars: bool) -> None:
        states = some["state"].map(lambda state: STATES.get(state, state))
        figure.add_scatter(
            x=factor * some[HOURS], y=some["score"], mode="markers", name=name,
            marker=dict(color=LIGHT[tone], size=size, symbol=some["finished"].map(SYMBOLS)),
            error_y=dict(
                type="data", symmetric=False, visible=bars, thickness=1, width=2, color=LIGHT[tone],
                array=some["high"] - some["score"], arrayminus=some["score"] - some["low"],
            ),
            customdata=list(zip(some["sequence"], some["trial"], states, strict=True)),
            hovertemplate="#%{customdata[0]} %{customdata[1]}, %{customdata[2]}<br>"
            f"%{{x:.2f}} {unit}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip

    line = rows.dropna(subset="best")
    figure.add_scatter(
        x=factor * line[HOURS], y=line["best"], mode="lines", name="best so far", hoverinfo="skip",
        line=dict(color=LIGHT["best"], width=2, shape="hv"),
    )  # fmt: skip
    others = rows[~rows["trial"].isin(marked.values())]
    size = 8 if len(rows) <= MANY else 5
    few = len(rows) <= FEW
    add(others[others["finished"]], "finished", "muted", size, few)
    add(others[~others["finished"]], "paused, stopped or not ended", "muted", size, few)
    for trial in reversed(dict.fromkeys(marked.values())):  # the best one on top
        roles = [role for role, its in marked.items() if its == trial]
        of_it = rows[rows["trial"] == trial]
        for number in of_it["sequence"]:
            add(of_it, f"{' and '.join(roles)} (#{number})", roles[0], 12, True)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text=f"{unit} of search", rangemode="tozero")
    figure.update_yaxes(title_text=f"validation {title_of(metric)}")
    return figure
