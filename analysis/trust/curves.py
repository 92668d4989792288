"""Learning curves, and the rule by which a recipe and its epoch are chosen: the best mean of three epochs."""

import csv
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np

from common.errors import UsageError, all_at_once
from trial.metrics import column_of

EPOCHS = "epochs.csv"
STEADY = "steady_score"  # the column of the trials table with the values of `steady`


def neighbours_mean(curves: np.ndarray) -> np.ndarray:
    """Scores (..., epochs) -> for each epoch the mean of its own and its neighbours'; the first and the last
    epoch count twice instead of the neighbour that they lack. Epochs that a run did not have are nan.

    By this a recipe is ranked: less lucky than the best epoch, and in benchmarks/trust/promise.py it chose
    better recipes.
    """
    before = np.concatenate([curves[..., :1], curves[..., :-1]], -1)
    after = np.concatenate([curves[..., 1:], curves[..., -1:]], -1)
    before, after = (np.where(np.isnan(one), curves, one) for one in (before, after))
    return (before + curves + after) / 3


def steady(curve: np.ndarray) -> tuple[float, int] | None:
    """(The highest `neighbours_mean` of a curve (epochs,), its epoch from 1); None without a score."""
    means = neighbours_mean(curve)
    if not np.isfinite(means).any():
        return None
    best = int(np.nanargmax(means))
    return float(means[best]), best + 1


def curve_of(run: Path, metric: str) -> np.ndarray:
    """(epochs,) the scores in a run's epochs.csv, the mean over its folds; empty without a file. UsageError
    if it is damaged. (pandas would take ten times as long, for each trial of a table.)"""
    path, column = run / EPOCHS, column_of(metric)
    scores: dict[int, list[float]] = {}
    try:
        text = path.read_text()
        if not text.endswith("\n"):
            raise ValueError("its end is missing")
        for row in csv.DictReader(text.splitlines()):
            scores.setdefault(int(row["epoch"]), []).append(score := float(row[column] or "nan"))
            if None in row.values():
                raise ValueError("a row with too few fields")
            if score > 1 or (score < 0 and metric != "log_loss") or min(scores) < 1:
                raise ValueError(f"epoch {row['epoch']} with {column} {score}")
        if not scores:
            raise ValueError("no epoch")
    except FileNotFoundError:
        return np.empty(0)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{path}: is damaged ({error!r})") from None
    return np.array([np.mean(scores[epoch]) for epoch in sorted(scores)])


def curves_of(runs: Sequence[Path], metric: str) -> np.ndarray:
    """(runs, epochs) the runs' curves; nan after a run's end. UsageError if one is damaged, or has no
    score."""
    curves = all_at_once(*(partial(_scored, run, metric) for run in runs))
    return np.array(list(zip_longest(*curves, fillvalue=np.nan))).T


def _scored(run: Path, metric: str) -> np.ndarray:
    curve = curve_of(run, metric)
    if not np.isfinite(curve).any():
        raise UsageError(f"{run / EPOCHS}: is missing, or no epoch has a score")
    return curve
