"""Learning curves, and the rule by which a recipe and its epoch are chosen: the best mean of three epochs."""

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np

from common.errors import UsageError, all_at_once
from trial.metrics import column_of
from trial.run_folder.record import EPOCHS, RunFolder

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


def whole_curve(folds: Sequence[Mapping[int, float]], score: float | None = None) -> np.ndarray:
    """(epochs,) the curve of a run by the {epoch: score} of each of its folds, on the scale of its `score`
    over the groups of all folds together, in which each fold has its own best epoch.

    The mean of the folds' scores is on another scale: a rare class is absent from many a fold, and counts 0
    in the macro-F1 there. So each epoch has that `score` and what the folds are below their best ones, on
    average. Without a `score`, or of one fold: the mean of the folds. A fold that ended earlier (by patience)
    stays as far below its best one as it was at last: it ended because nothing better came, and without it
    late epochs would be judged by the folds that were still improving.
    """
    best = [max((one for one in fold.values() if one == one), default=np.nan) for fold in folds]
    whole = float(np.mean(best)) if score is None else score
    epochs = sorted(set().union(*folds))
    if len(folds) == 1:
        return np.array([folds[0][epoch] for epoch in epochs])
    below, at_last = [], np.full(len(folds), np.nan)
    for epoch in epochs:
        now = np.array([fold.get(epoch, last) for fold, last in zip(folds, at_last, strict=True)])
        at_last = np.where(np.isnan(now), at_last, now)
        below.append(np.mean(now - best))
    return whole + np.array(below)


def curve_of(run: Path, metric: str, score: float | None = None) -> np.ndarray:
    """(epochs,) the scores in a run's epochs.csv, of several folds their `whole_curve`, by the run's `score`;
    empty without a file. UsageError if it is damaged. (pandas would take ten times as long, for each trial of
    a table.)"""
    path, column = run / EPOCHS, column_of(metric)
    folds: dict[str, dict[int, float]] = {}
    try:
        text = path.read_text()
        if not text.endswith("\n"):
            raise ValueError("its end is missing")
        for row in csv.DictReader(text.splitlines()):
            epoch, own = int(row["epoch"]), float(row[column] or "nan")
            folds.setdefault(row.get("fold", ""), {})[epoch] = own
            if None in row.values():
                raise ValueError("a row with too few fields")
            if own > 1 or (own < 0 and metric != "log_loss") or epoch < 1:
                raise ValueError(f"epoch {row['epoch']} with {column} {own}")
        if not folds:
            raise ValueError("no epoch")
    except FileNotFoundError:
        return np.empty(0)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{path}: is damaged ({error!r})") from None
    return whole_curve(list(folds.values()), score)


def curves_of(runs: Sequence[Path], metric: str) -> np.ndarray:
    """(runs, epochs) the runs' curves; nan after a run's end. UsageError if one is damaged, or has no
    score."""
    curves = all_at_once(*(partial(_scored, run, metric) for run in runs))
    return np.array(list(zip_longest(*curves, fillvalue=np.nan))).T


def _scored(run: Path, metric: str) -> np.ndarray:
    curve = curve_of(run, metric, RunFolder(run).status().get("score"))
    if not np.isfinite(curve).any():
        raise UsageError(f"{run / EPOCHS}: is missing, or no epoch has a score")
    return curve
