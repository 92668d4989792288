"""The result of a learning-rate range test: smoothed loss, suggested rates, page."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.report.page import write_page
from analysis.report.theme import LIGHT, blank
from analysis.trials.flatten import flat
from common.text import value_text
from trial.config import TrialConfig

_OTHER = re.compile(r"learning_rate|schedule|epochs|patience")  # fields that the test does not use
FELL = 0.98  # of the first loss: below that, the loss has fallen


@dataclass(frozen=True)
class Suggestion:
    """Suggested learning rates: where the smoothed loss falls fastest, and a tenth of where it is lowest;
    both None if it never fell."""

    steepest: float | None = None
    tenth_of_min: float | None = None

    def __str__(self) -> str:
        if self.steepest is None:
            return "no suggestion: the loss never fell between these learning rates"
        return (
            f"learning_rate={self.steepest:.2g}: steepest descent, where the loss falls fastest\n"
            f"learning_rate={self.tenth_of_min:.2g}: a tenth of where the loss is lowest"
        )


def suggest(table: pd.DataFrame) -> Suggestion:
    """The suggestion of `table` (learning_rate, smoothed_loss; one row per step)."""
    loss, rates = table["smoothed_loss"].to_numpy(), table["learning_rate"].to_numpy()
    lowest = int(loss.argmin())
    if lowest < 2 or loss[lowest] > FELL * loss[0]:
        return Suggestion()
    slope = np.gradient(loss[: lowest + 1], np.log(rates[: lowest + 1]))
    return Suggestion(float(rates[slope.argmin()]), float(rates[lowest] / 10))


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """The mean of each value and its neighbours, weighted by a Gaussian of `width` steps. It has no delay;
    that of a running mean would shift the suggestions to higher rates."""
    reach = np.arange(-round(3 * width), round(3 * width) + 1)
    weights = np.exp(-0.5 * (reach / width) ** 2)
    return np.convolve(np.pad(values, len(reach) // 2, "edge"), weights / weights.sum(), "valid")


def write_result(path: Path, config: TrialConfig, table: pd.DataFrame, found: Suggestion, steps: int) -> Path:
    """Write the page `path` on `table` (learning_rate, loss, smoothed_loss); `steps`: those planned."""
    return write_page(
        path,
        "lr_range.html.j2",
        name=config.model,
        found=found,
        taken=len(table),
        steps=steps,
        still_falling=bool(table["smoothed_loss"].argmin() >= len(table) - 2),
        loss=losses(table, found),
        recipe=[(name, value_text(value)) for name, value in flat(config).items() if not _OTHER.match(name)],
    )


def losses(table: pd.DataFrame, found: Suggestion) -> go.Figure:
    """Loss over learning rate (log scale), of each step and smoothed, with the suggestions marked."""
    figure = blank(420, hovermode="x unified")
    for column, name, line in (
        ("loss", "each step", dict(color=LIGHT["faint"], width=1)),
        ("smoothed_loss", "smoothed", dict(color=LIGHT["best"], width=3)),
    ):
        figure.add_scatter(
            x=table["learning_rate"], y=table[column], mode="lines", name=name, line=line,
            hovertemplate="%{y:.4f}",
        )  # fmt: skip
    for rate, words, tone in (
        (found.steepest, "steepest descent", "median"),
        (found.tenth_of_min, "a tenth of the rate at the lowest loss", "default"),
    ):
        if rate is not None:
            figure.add_scatter(
                x=[rate, rate], y=[0, 1], yaxis="y2", mode="lines", name=f"{words}: {rate:.2g}",
                hoverinfo="skip", line=dict(color=LIGHT[tone], width=2, dash="dash"),
            )  # fmt: skip
    # The diverging end of the loss tells nothing, and would flatten the rest.
    low, high = table["smoothed_loss"].min(), table["smoothed_loss"].iloc[0]
    room = max(high - low, 0.05 * high)
    figure.update_xaxes(type="log", title_text="learning rate", exponentformat="power", dtick=1)
    figure.update_yaxes(title_text="loss", range=[low - 0.3 * room, high + 0.6 * room])
    figure.update_layout(yaxis2=dict(overlaying="y", range=[0, 1], visible=False, fixedrange=True))
    return figure
