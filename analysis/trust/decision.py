"""The decision layer for macro-F1: a temperature, then multipliers on the probabilities of classes.

The class with the highest probability is the best answer for the accuracy. The macro-F1 counts a rare class
as much as a common one, so it gains by predicting rare classes somewhat sooner. How much sooner is fitted to
answers for groups that the network was not trained on; few multipliers are fitted, since one for each class
fits the noise of the rare ones (benchmarks/trust/combined.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.trust.bootstrap import Interval, resamples
from analysis.trust.calibration import calibration_error, reliability, temperature_of
from analysis.trust.nested import assign_folds, gains
from common.errors import UsageError
from common.text import counted
from dataset.task import Task
from trial.probabilities import tempered

METRIC = "macro_f1"
GRID = np.exp(np.linspace(-2, 2, 33))  # multipliers that are tried: 1/7 to 7
BAGS = 10  # resamples of the groups, over which the logarithms of the multipliers are averaged
SWEEPS = 4  # over the sets of classes; most fits change nothing after two
MAX_FREE = 40  # classes; a multiplier for each of more takes minutes to fit, and fits noise
Sets = tuple[tuple[int, ...], ...]  # labels that share a multiplier; those in no set have the multiplier 1


@dataclass(frozen=True, eq=False)
class Decision:
    """`multipliers` (classes,) of the probabilities at this `temperature`."""

    temperature: float
    multipliers: np.ndarray

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """The probabilities (photos, classes) that decide: weighted, rows sum to 1."""
        weighted = tempered(probabilities, self.temperature) * self.multipliers
        return weighted / weighted.sum(1, keepdims=True)

    def to_json(self, task: Task) -> dict[str, Any]:
        """For submission.json and bundles; `decision_from` reads it back."""
        named = zip(task.classes, self.multipliers.tolist(), strict=True)
        return {"metric": METRIC, "temperature": self.temperature, "multipliers": dict(named)}


def decision_from(facts: Mapping[str, Any], task: Task) -> Decision:
    """The decision of `to_json`. UsageError if it is damaged or of other classes."""
    try:
        return Decision(
            facts["temperature"], np.array([facts["multipliers"][name] for name in task.classes], float)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the decision is damaged, or of other classes ({error!r})") from None


def rare_sets(task: Task) -> Sets:
    """The sets of classes that share a multiplier, by default: one for each rare value of a factor. Of a
    factor that was a number, each band but the first has one, as a band is mistaken for its neighbours. Of a
    task without such a factor, the rare classes together; () if none is rare."""
    rare, sets = set(task.rare), list[tuple[int, ...]]()
    labels = np.arange(task.n_classes).reshape(task.sizes) if task.factors else np.empty(0)
    for axis, factor in enumerate(task.factors):
        values = [tuple(part.ravel().tolist()) for part in np.moveaxis(labels, axis, 0)]
        of_rare = [own for own in values if rare.issuperset(own)]
        sets += values[1:] if of_rare and factor in task.bands else of_rare
    return tuple(sets) or (((task.rare),) if task.rare else ())


def fit(
    probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, sets: Sets, bags: int = BAGS
) -> Decision:
    """The temperature with the smallest log loss, and a multiplier for each of `sets` with the highest
    macro-F1: in logarithms the mean over `bags` resamples of the groups, as a single best one is lucky."""
    temperature = temperature_of(probabilities, labels)
    by_class = np.ascontiguousarray(tempered(probabilities, temperature).T)
    names, row = np.unique(groups, return_inverse=True)
    drawn = resamples(len(names), bags).astype(float)
    found = [_ascend(by_class, labels, sets, times[row]) for times in drawn]
    return Decision(temperature, np.exp(np.mean(found, axis=0)))


def _ascend(by_class: np.ndarray, labels: np.ndarray, sets: Sets, weights: np.ndarray) -> np.ndarray:
    """(classes,) logarithms of multipliers: each of the `sets` in turn gets its best one, until none changes.
    `by_class` (classes, photos): probabilities; `weights` (photos,): how often each photo counts."""
    multipliers, chosen = np.ones(len(by_class)), np.full(len(sets), -1)
    for _ in range(SWEEPS):
        before = chosen.copy()
        for number, of_set in enumerate(sets):
            rest = [label for label in range(len(by_class)) if label not in of_set]
            if not rest:
                continue
            own, probability = _best(by_class, of_set)
            other, weighted = _best(by_class, rest, multipliers)
            with np.errstate(divide="ignore", invalid="ignore"):
                needed = weighted / probability
            at = np.searchsorted(GRID, needed, side="right")  # GRID[at] is the first that is enough
            scores = _scores(labels, own, other, at, weights, len(by_class))
            ties = scores >= scores.max() - 1e-12
            chosen[number] = np.where(ties, abs(np.log(GRID)), np.inf).argmin()  # of equals, nearest to 1
            multipliers[list(of_set)] = GRID[chosen[number]]
        if (chosen == before).all():
            break
    return np.log(multipliers)


def _best(
    by_class: np.ndarray, labels: Sequence[int], multipliers: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(photos,) twice: which of these classes has the highest (weighted) probability, and that."""
    rows = (by_class[label] if multipliers is None else by_class[label] * multipliers[label]
            for label in labels)  # fmt: skip
    value = next(rows).copy()
    which = np.full(len(value), labels[0])
    for label, row in zip(labels[1:], rows, strict=True):  # a few times as fast as argmax over few classes
        which[row > value] = label
        np.maximum(value, row, out=value)
    return which, value


def _scores(
    labels: np.ndarray, own: np.ndarray, other: np.ndarray, at: np.ndarray, weights: np.ndarray, classes: int
) -> np.ndarray:
    """(GRID,) the macro-F1 for each multiplier: photos are predicted as `own` from number `at` on, as `other`
    before."""
    size = (len(GRID) + 1) * classes

    def counts(joining: np.ndarray, leaving: np.ndarray) -> np.ndarray:
        """(GRID, classes) photos predicted as each class, of those that count as `own` and as `other`."""
        joined = np.bincount((at * classes + own)[joining], weights[joining], size)
        left = np.bincount((at * classes + other)[leaving], weights[leaving], size)
        before = np.bincount(other[leaving], weights[leaving], classes)
        return before + (joined - left).reshape(-1, classes)[:-1].cumsum(0)

    every = np.ones(len(labels), bool)
    given, hits = counts(every, every), counts(own == labels, other == labels)
    truth = np.bincount(labels, weights, classes)
    return 2 * (hits / np.maximum(truth + given, 1)).mean(1)


@dataclass(frozen=True, eq=False)
class Decided:
    """A decision with its nested estimates, which are of decisions fitted to other groups.

    `free`: how many multipliers are fitted. `score`, and `gain` over the most probable class. `calibration`:
    the expected calibration errors as predicted and by the temperature.
    """

    decision: Decision
    free: int
    score: Interval
    gain: Interval
    calibration: tuple[float, float]

    @property
    def is_worth_it(self) -> bool:
        """Whether the interval of the gain is above 0."""
        return self.gain.low > 0

    def words(self) -> str:
        """For people."""
        many = counted(self.free, "multiplier")
        return f"the decision layer for macro-F1 ({many}) gains {self.gain.signed()} by a nested estimate"

    def facts(self) -> dict[str, Any]:
        """For submission.json."""
        before, after = self.calibration
        return {
            **self.gain.facts("gain"),
            METRIC: round(self.score.value, 4), **self.score.limits(),
            "calibration_error": round(before, 4), "calibration_error_by_temperature": round(after, 4),
        }  # fmt: skip


def decide(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, task: Task) -> Decided:
    """The decision for answers to groups that the network was not trained on: one multiplier for each of
    `rare_sets`; one for each class if, nested, its gain over these is above 0 by its interval. UsageError if
    there are too few groups."""
    fold = assign_folds(groups, labels)
    candidates = [sets for sets in (rare_sets(task), _each(task)) if sets]
    if not candidates:
        raise UsageError(
            f"no class is rare, and with over {MAX_FREE} classes there is no multiplier for each"
        )
    nested = [_nested(probabilities, labels, groups, fold, sets) for sets in candidates]
    chosen = 0
    if len(nested) > 1:
        _, (_, more) = gains(labels, groups, [weighted for weighted, _ in nested], METRIC)
        chosen = int(more.low > 0)
    sets, (weighted, warm) = candidates[chosen], nested[chosen]
    (_, score), (_, gain) = gains(labels, groups, [probabilities, weighted], METRIC)
    errors = [calibration_error(reliability(one, labels)) for one in (probabilities, warm)]
    decision = fit(probabilities, labels, groups, sets)
    return Decided(decision, len(sets), score, gain, (errors[0], errors[1]))


def _each(task: Task) -> Sets:
    return tuple((label,) for label in range(task.n_classes)) if task.n_classes <= MAX_FREE else ()


def _nested(
    probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, fold: np.ndarray, sets: Sets
) -> tuple[np.ndarray, np.ndarray]:
    """(Weighted probabilities, those by the temperature alone), each photo's by what was fitted to the other
    folds."""
    decisions = {
        int(one): fit(probabilities[fold != one], labels[fold != one], groups[fold != one], sets)
        for one in np.unique(fold)
    }
    weighted, warm = np.empty(probabilities.shape), np.empty(probabilities.shape)
    for one, decision in decisions.items():
        own = fold == one
        weighted[own] = decision.apply(probabilities[own])
        warm[own] = tempered(probabilities[own], decision.temperature)
    return weighted, warm
