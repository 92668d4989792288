"""Intervals for scores, and for differences of scores, by bootstrap over groups.

Photos of a person are alike, so people are resampled, never photos. Of the usual ways to make an interval of
the resamples, `benchmarks/trust/coverage.py` compares the coverage: the standard error of the resamples, with
Student's t for the few groups that a rare class has, is the one kept here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes half a second to import

from analysis.trust.answers import Answers, Counts, counts_of
from common.text import fixed_text
from trial.metrics import METRICS

RESAMPLES = 2000
LEVEL = 0.95
RULE_OF_THREE = 3.0  # groups: 95 % limit of an event that none of n groups showed is 3 / n
CHUNK = 64  # recipes at a time: the resamples of more would not fit the processor's cache
BOUNDS = dict.fromkeys(METRICS, (0.0, 1.0)) | {"log_loss": (-np.inf, 0.0)}


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of two, with its 95 % interval for new groups like the `n_groups` seen.

    `error`: standard error. `absent`: classes without a photo among these groups; the interval allows for
    them, as far as one can.
    """

    value: float
    low: float
    high: float
    error: float
    n_groups: int
    absent: int = 0

    def __str__(self) -> str:
        value, low, high = map(fixed_text, (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"

    @property
    def contains_zero(self) -> bool:
        return self.low <= 0 <= self.high

    def signed(self) -> str:
        """Of a difference: with its sign, as text."""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"

    def moved(self, by: float, metric: str) -> "Interval":
        """It, of a score by `metric`, by that much higher."""
        bounds = BOUNDS[metric]
        value, low, high = (float(np.clip(one + by, *bounds)) for one in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)

    def limits(self, prefix: str = "") -> dict[str, float]:
        """{"low", "high"}, for submission.json; the `prefix` begins their names."""
        return {f"{prefix}low": round(self.low, 4), f"{prefix}high": round(self.high, 4)}

    def facts(self, name: str) -> dict[str, float]:
        """{"NAME", "NAME_low", "NAME_high"}, for submission.json."""
        return {name: round(self.value, 4), **self.limits(f"{name}_")}


Sums = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def scores(sums: Sums, metric: str) -> np.ndarray:
    """(B, recipes) the score by `metric` of B sets of photos, as trial.metrics computes each of them.

    `sums`: truth (B, classes), given and hits (B, recipes, classes), log probability (B, recipes) or None. A
    class that is neither true nor predicted counts 0 in the macro-F1, one without photos is left out of the
    balanced accuracy. ValueError for the log loss without probabilities.
    """
    truth, given, hits, log = sums
    if metric == "macro_f1":
        return 2 * (hits / np.maximum(truth[:, None] + given, 1)).mean(2)
    if metric == "balanced_accuracy":
        recall = (hits / np.maximum(truth, 1)[:, None]).sum(2)
        return recall / np.maximum((truth > 0).sum(1), 1)[:, None]
    photos = np.maximum(truth.sum(1), 1)[:, None]
    if metric == "accuracy":
        return hits.sum(2) / photos
    if log is None:
        raise ValueError("the log loss needs probabilities, not only predicted classes")
    return log / photos


def observed(counts: Counts, metric: str) -> np.ndarray:
    """(recipes,) the scores of all groups together."""
    return resampled(counts, np.ones((1, counts.n_groups)), metric)[0]


def resamples(n_groups: int, number: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(number, groups) how often each group is in a resample of as many groups, float32."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(n_groups, size=(number, n_groups))
    drawn += np.arange(number)[:, None] * n_groups
    times = np.bincount(drawn.ravel(), minlength=number * n_groups)
    return times.reshape(number, n_groups).astype(np.float32)


def resampled(counts: Counts, weights: np.ndarray, metric: str) -> np.ndarray:
    """(B, recipes) the scores if each group counts as often as `weights` (B, groups) says."""
    counts = _needed(counts, metric)
    return np.concatenate([scores(_sums(part, weights), metric) for part in _chunks(counts)], 1)


def _needed(counts: Counts, metric: str) -> Counts:
    """Without what the metric is not computed from."""
    if metric != "log_loss":
        return replace(counts, log_probability=None)
    nothing = counts.given[:, :, :0]
    return replace(counts, given=nothing, hits=nothing)


def _chunks(counts: Counts) -> Iterator[Counts]:
    for start in range(0, counts.n_recipes, CHUNK):
        yield counts.recipes(slice(start, start + CHUNK))


def _sums(counts: Counts, weights: np.ndarray) -> Sums:
    n_groups, shape = counts.n_groups, (len(weights), *counts.given.shape[1:])
    given, hits = (
        (weights @ one.reshape(n_groups, -1)).reshape(shape) for one in (counts.given, counts.hits)
    )
    log = None if counts.log_probability is None else weights @ counts.log_probability
    return weights @ counts.truth, given, hits, log


def without_each(counts: Counts, metric: str) -> np.ndarray:
    """(groups, recipes) the scores without one group, for each group."""
    return np.concatenate([
        scores(tuple(None if one is None else one.sum(0) - one for one in (  # type: ignore[arg-type]
            part.truth, part.given, part.hits, part.log_probability
        )), metric)
        for part in _chunks(counts)
    ], 1)  # fmt: skip


def intervals(counts: Counts, metric: str, number: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """The score of each recipe by `metric`, with its interval."""
    values = observed(counts, metric)
    missing = counts.absent / counts.truth.shape[1]
    # An absent class counts 0 in the macro-F1, though new photos of it may be told as well as the others; the
    # balanced accuracy is without it, so it may be off to either side.
    known = values / (1 - missing) if metric == "macro_f1" else values
    up = missing * known * (metric in ("macro_f1", "balanced_accuracy"))
    down = up * (metric == "balanced_accuracy")
    return intervals_by(lambda of: of, values, counts, metric, (down, up), BOUNDS[metric], number, seed)


def interval_of(answers: Answers, metric: str) -> Interval:
    """The score of one run's answers, with its interval."""
    (found,) = intervals(counts_of([answers]), metric)
    return found


def differences(
    counts: Counts, reference: int, metric: str, number: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """The score of each recipe minus that of recipe number `reference`, paired over the groups."""
    values = observed(counts, metric)
    values = values - values[reference]
    missing = counts.absent / counts.truth.shape[1] * (metric in ("macro_f1", "balanced_accuracy"))
    apart = missing * _class_difference(counts, reference)
    low, high = BOUNDS[metric]
    found = intervals_by(
        lambda of: of - of[:, reference : reference + 1], values, counts, metric, (apart, apart),
        (low - high, high - low), number, seed,
    )  # fmt: skip
    found[reference] = Interval(0.0, 0.0, 0.0, 0.0, counts.n_groups, counts.absent)
    return found


def _class_difference(counts: Counts, reference: int) -> np.ndarray:
    """(recipes,) mean absolute difference of a class's F1 from the reference's, over classes with photos."""
    truth, given, hits = counts.truth.sum(0), counts.given.sum(0), counts.hits.sum(0)
    f1 = (2 * hits / np.maximum(truth + given, 1))[:, truth > 0]
    return np.abs(f1 - f1[reference]).mean(1) if f1.shape[1] else np.zeros(len(f1))


def intervals_by(
    statistic: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    counts: Counts,
    metric: str,
    allowance: tuple[np.ndarray, np.ndarray],
    bounds: tuple[float, float],
    number: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """The intervals of K `values` (K,), which `statistic` makes of the scores of all groups: of scores (B,
    recipes) it makes (B, K). `allowance`: by what the limits are moved down and up for classes without
    photos."""
    n_groups = counts.n_groups
    errors = statistic(resampled(counts, resamples(n_groups, number, seed), metric)).std(0)
    errors = errors * np.sqrt(n_groups / max(n_groups - 1, 1))  # as of any sample: resamples vary less
    wide = errors * stdtrit(_freedom(statistic(without_each(counts, metric))), (1 + LEVEL) / 2)
    # No resample moves it: no group contradicts the others, which does not mean that none ever will.
    wide = np.where(errors > 1e-7 * np.abs(values), wide, RULE_OF_THREE / n_groups)
    low, high = (values - wide - allowance[0]).clip(*bounds), (values + wide + allowance[1]).clip(*bounds)
    return [
        Interval(float(value), float(lowest), float(highest), float(error), n_groups, counts.absent)
        for value, lowest, highest, error in zip(values, low, high, errors, strict=True)
    ]


def _freedom(without: np.ndarray) -> np.ndarray:
    """(recipes,) degrees of freedom of the standard error: about n for a mean of n normal values, few if it
    hangs on a few groups, as that of a rare class does. After Satterthwaite, with the variance of the
    variance from the groups' jackknife values `without` (groups, recipes)."""
    squares = (without - without.mean(0)) ** 2
    variance = squares.sum(0)
    of_variance = (squares**2).sum(0) - variance**2 / len(without)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = 2 * variance**2 / of_variance
    return np.where(freedom > 2, np.minimum(freedom, max(len(without) - 1, 2)), 2.0)  # nan (no variance) too
