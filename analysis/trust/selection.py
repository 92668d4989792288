"""What the best of many recipes promises on new groups, and which others are not significantly worse.

The highest of many scores is high by luck too. Bootstrap bias correction (BBC-CV; Tsamardinos, Greasidou and
Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation")
repeats the choice on resampled groups and scores what it chooses on the groups left out. A third of the
groups is left out, and a macro-F1 of so few is biased, as rare classes go missing. So the score of those
left out is replaced by its first order: they score as much below the whole as the resample scores above it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.trust.answers import Counts
from analysis.trust.bootstrap import (
    RESAMPLES,
    Interval,
    differences,
    intervals,
    observed,
    resampled,
    resamples,
)
from analysis.trust.curves import neighbours_mean

CHOICES = 1000  # repetitions of the choice
NEW = 0.2  # in the recorded table .21 (benchmarks/trust/promise.py)
Rank = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Corrected:
    """`taken`: the value of the best candidate, number `winner`. `value`: what it promises on new groups.
    `chosen` (candidates,): the fraction of resamples in which each would have been chosen."""

    winner: int
    taken: float
    value: float
    chosen: np.ndarray


def deviations(counts: Counts, metric: str, number: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(resamples, recipes) by what a resample's score differs from the mean of all resamples' scores."""
    found = resampled(counts, resamples(counts.n_groups, number, seed), metric)
    return found - found.mean(0)


def correct(values: np.ndarray, deviations: np.ndarray, rank: Rank = lambda values: values) -> Corrected:
    """The best of `values` (candidates), corrected for having been chosen by their `deviations` (resamples,
    candidates).

    Candidates may have several axes (recipes, epochs); `rank` makes of values (..., candidates) those by
    which the highest is chosen. Those whose value is nan are not.
    """
    shape = values.shape
    winner = int(np.nanargmax(rank(values)))
    chosen = np.nanargmax(rank(values + deviations).reshape(len(deviations), -1), 1)
    flat, moved = values.ravel(), deviations.reshape(len(deviations), -1)
    value = float((flat[chosen] - moved[np.arange(len(moved)), chosen]).mean())
    fraction = np.bincount(chosen, minlength=flat.size).reshape(shape) / len(moved)
    return Corrected(winner, float(flat[winner]), value, fraction)


def of_epochs(deviations: np.ndarray, curves: np.ndarray, seed: int = 0) -> np.ndarray:
    """(resamples, recipes, epochs) how the scores of all epochs might deviate, drawn, if only the
    `deviations` (resamples, recipes) of one epoch of each recipe are known.

    `curves` (recipes, epochs): the scores of all. A part of the variance is new in each epoch: as much as the
    curves' roughness says (second differences of noise have six times its variance), but at most NEW, for
    real ups and downs of a network make a curve rough too.
    """
    together = np.atleast_2d(np.cov(deviations.T))
    variance = together.diagonal()
    rough = curves[:, :-2] - 2 * curves[:, 1:-1] + curves[:, 2:]
    rough = (rough / np.sqrt(np.where(variance > 0, variance, np.nan))[:, None]).ravel()
    rough = rough[np.isfinite(rough)]
    # The median of the squares of normal values is .455 of their mean; a steep start moves it little.
    new = min(NEW, float(np.median(rough**2)) / 0.455 / 6) if len(rough) else 0.0
    # What two recipes differ by holds what is new in either, so it bounds that.
    apart = variance[:, None] + variance - 2 * together
    np.fill_diagonal(apart, np.inf)
    of_epoch = np.minimum(new * variance, apart.min(1).clip(0) / 2)
    values, vectors = np.linalg.eigh(together - np.diag(of_epoch))
    rng = np.random.default_rng(seed)
    lasting = rng.standard_normal(deviations.shape) * np.sqrt(values.clip(0)) @ vectors.T
    noise = rng.standard_normal((*deviations.shape, curves.shape[1]), np.float32)
    noise *= np.sqrt(of_epoch, dtype=np.float32)[:, None]
    noise += lasting[:, :, None]
    noise -= noise.mean(0)  # else an epoch that is always chosen would promise more or less than its score
    return noise


@dataclass(frozen=True, eq=False)
class Selection:
    """The choice among the recipes of a Counts.

    `winner`: its number. `promise`: its score on new groups like these, corrected for the choice, with the
    interval. `flattered`: by what the score of its best epoch, which tables show, is higher. `equal`: the
    recipes that are not significantly different from the winner, the best first: the interval of the paired
    difference, among `behind_by` (recipes,), contains 0. `chosen`: the fraction of resamples in which each
    recipe wins. `order`: all recipes, best first.
    """

    winner: int
    promise: Interval
    flattered: float
    equal: tuple[int, ...]
    behind_by: tuple[Interval, ...]
    chosen: np.ndarray
    order: tuple[int, ...]


def select(
    counts: Counts,
    metric: str,
    curves: np.ndarray | None = None,
    number: int = CHOICES,
    seed: int = 0,
) -> Selection:
    """Choose the recipe whose curve's highest `neighbours_mean` is the highest.

    `curves` (recipes, epochs): the score of each epoch, nan where a run had ended; `counts`: of the answers
    of one epoch of each recipe. Without curves, the scores of `counts` choose. ValueError if a recipe has no
    score.
    """
    curves = observed(counts, metric)[:, None] if curves is None else np.asarray(curves, float)
    if len(curves) != counts.n_recipes or np.isnan(curves).all(1).any():
        raise ValueError(f"{len(curves)} learning curves, not {counts.n_recipes}, or one without a score")
    moved = of_epochs(deviations(counts, metric, number, seed), curves, seed)
    found = correct(curves, moved, neighbours_mean)
    winner, _ = divmod(found.winner, curves.shape[1])
    highest = float(np.nanmax(curves[winner]))
    own = intervals(counts.recipes([winner]), metric, number, seed)[0]
    promise = own.moved(found.value - own.value, metric)
    behind = differences(counts, winner, metric, number, seed)
    order = [int(one) for one in np.argsort(-np.nanmax(neighbours_mean(curves), 1), kind="stable")]
    equal = [one for one in order if one != winner and behind[one].contains_zero]
    fractions = found.chosen.sum(1)
    return Selection(
        winner, promise, highest - promise.value, tuple(equal), tuple(behind), fractions, tuple(order)
    )
