"""How several runs become one prediction: votes, Caruana's greedy selection, stacking; what each is worth.

A selection or a stack is fitted to validation answers, so its score on the same answers is too high. Each way
is scored nested: fitted to some groups, scored on the others, as the best single run is chosen in the
comparison, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.predict.vote import AUTO, WAYS, Members, hard
from analysis.trust.answers import Counts
from analysis.trust.bootstrap import Interval, differences, intervals, resamples, scores
from analysis.trust.nested import assign_folds, counts_of_probabilities, out_of_fold
from common.errors import UsageError
from trial.probabilities import log_given, log_of

BAGS, STEPS = 20, 20  # resamples of the groups, and members that each draws with replacement
STRENGTH = 0.1  # of the stack's regression (scikit-learn's C): classes x members x classes coefficients
BEST = "best"  # the single run with the best score, which is what the ways are compared with


@dataclass(frozen=True, eq=False)
class Combination:
    """One of WAYS. `weights` (members,) sum to 1: of the mean for soft and greedy, of the votes for hard;
    those with 0 need not predict. `stack`: a fitted classifier of the members' logits."""

    way: str
    weights: np.ndarray
    stack: Any = None

    def apply(self, probabilities: Members) -> np.ndarray:
        """(photos, classes) of the members' probabilities, each (photos, classes)."""
        if self.stack is not None:
            return _stacked(self.stack, probabilities)
        if self.way == "hard":
            return hard([one for one, weight in zip(probabilities, self.weights, strict=True) if weight])
        return np.tensordot(self.weights, np.asarray(probabilities, np.float64), 1)


class _Greedy:
    """Scores of means of members, whose answers are kept: the resamples and folds ask for the same ones."""

    def __init__(self, members: np.ndarray, labels: np.ndarray, metric: str):
        self._members, self._labels, self._metric = members, labels, metric
        self._kept: dict[bytes, tuple[np.ndarray, np.ndarray | None]] = {}

    def _answers(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What the mean of the members says, in which each counts as often as `times` (members,) says: (the
        predicted classes, the logarithm of what each photo's class gets), both (photos,); the second for the
        log loss only."""
        key = times.tobytes()
        if key not in self._kept:
            mean = np.tensordot(times / times.sum(), self._members, 1)
            log = log_given(mean, self._labels) if self._metric == "log_loss" else None
            self._kept[key] = mean.argmax(1).astype(np.int32), log
        return self._kept[key]

    def score(self, times: np.ndarray, weights: np.ndarray) -> float:
        """If each photo counts as often as `weights` (photos,) says."""
        (predicted, log), classes = self._answers(times), self._members.shape[2]
        right = predicted == self._labels
        truth, given, hits = (
            np.bincount(which, often, classes)[None]
            for which, often in ((self._labels, weights), (predicted, weights), (predicted, weights * right))
        )
        total = None if log is None else np.array([[log @ weights]])
        return float(scores((truth, given[None], hits[None], total), self._metric)[0, 0])

    def select(self, weights: np.ndarray) -> np.ndarray:
        """(members,) how often each member is in the best mean (Caruana and others 2004): the best one first,
        then whichever adds most, with replacement; ties go to members that are in it already."""
        each = np.eye(len(self._members), dtype=np.int64)
        times = np.zeros(len(each), np.int64)
        best, kept = -np.inf, times
        for _ in range(STEPS):
            found = np.array([self.score(times + one, weights) for one in each])
            equal = np.flatnonzero(found >= found.max() - 1e-9)
            times = times + each[max(equal, key=lambda member: (times[member], -member))]
            if found.max() > best + 1e-9:
                best, kept = float(found.max()), times
        return kept

    def bagged(self, row: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(members,) weights: the mean over resamples of the groups with photos among `rows` (photos,); `row`
        (photos,): the number of each photo's group."""
        some = np.unique(row[rows])
        drawn = np.zeros((BAGS, row.max() + 1))
        drawn[:, some] = resamples(len(some), BAGS)
        found = [times / times.sum() for times in (self.select(one[row]) for one in drawn)]
        return np.mean(found, axis=0)


def _features(probabilities: Members) -> np.ndarray:
    return np.concatenate([log_of(one) for one in probabilities], 1)


def _stack(members: np.ndarray, labels: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression  # these take seconds to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=STRENGTH, max_iter=1000)
    return make_pipeline(StandardScaler(), regression).fit(_features(members), labels)


def _stacked(stack: Any, probabilities: Members) -> np.ndarray:
    found = np.zeros(np.shape(probabilities[0]))  # a class that it was not fitted to has no probability
    found[:, stack.classes_] = stack.predict_proba(_features(probabilities))
    return found


@dataclass(frozen=True, eq=False)
class Combined:
    """What the ways to combine some members are worth on validation answers.

    `chosen`: what predicts, fitted to all groups. By way: `scores`, nested, and `gains` over BEST, paired
    over the groups. `nested` (photos, classes): the chosen way's answers, fitted to other groups. `adds`: by
    what its nested score is higher than that of the same way fitted without the member, paired over the
    groups.
    """

    chosen: Combination
    asked: str
    scores: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    nested: np.ndarray
    adds: tuple[Interval, ...]

    @property
    def gain(self) -> Interval:
        """Of the chosen way."""
        return self.gains[self.chosen.way]

    def facts(self) -> dict[str, Any]:
        """For submission.json."""
        return {
            way: {"score": round(self.scores[way].value, 4), **self.scores[way].limits(),
                  "gain_over_best_run": round(self.gains[way].value, 4),
                  **self.gains[way].limits("gain_")}
            for way in self.gains if way != BEST
        }  # fmt: skip

    def adds_facts(self, member: int) -> dict[str, float]:
        """What a member adds, for submission.json."""
        return self.adds[member].facts("adds")

    def lines(self, names: Sequence[str], title: str) -> list[str]:
        """For people; `title`: of the metric."""
        lines = [f"{title}, nested (fitted to other groups), and the gain over the best run:"]
        lines.append(f"  {BEST + ' run':10} {self.scores[BEST]}")
        lines += [f"  {way:10} {self.scores[way]}  {self.gains[way].signed()}" for way in WAYS]
        why = (
            "as asked"
            if self.asked != AUTO
            else "the simplest that is not significantly different from the best"
        )
        shown = "no gain is shown" if self.gain.low <= 0 else "a gain"
        lines.append(f"taken: {self.chosen.way} ({why}); {shown} over the best run")
        for name, weight, adds in zip(names, self.chosen.weights, self.adds, strict=True):
            part = f"weight {weight:.2f}  " if self.chosen.stack is None else ""
            lines.append(f"  {name}: {part}adds {adds.signed()}, nested")
        return lines


Fit = Callable[[np.ndarray], Combination]  # of the photos that are to fit, bool (photos,)


def fits_of(members: np.ndarray, labels: np.ndarray, groups: np.ndarray, metric: str) -> dict[str, Fit]:
    """How BEST and each of WAYS is fitted to some of the photos, with whole groups, that `members` (members,
    photos, classes) predict."""
    row = np.unique(groups, return_inverse=True)[1]
    greedy = _Greedy(members, labels, metric)
    each = np.eye(len(members), dtype=np.int64)
    even = np.full(len(members), 1 / len(members))

    def best(rows: np.ndarray) -> Combination:
        found = [greedy.score(one, rows.astype(float)) for one in each]
        return Combination(BEST, each[np.argmax(found)].astype(float))

    return {
        BEST: best,
        "soft": lambda rows: Combination("soft", even),
        "hard": lambda rows: Combination("hard", even),
        "greedy": lambda rows: Combination("greedy", greedy.bagged(row, rows)),
        "stacking": lambda rows: Combination("stacking", even, _stack(members[:, rows], labels[rows])),
    }


def combine(
    members: Members, labels: np.ndarray, groups: np.ndarray, metric: str, way: str = AUTO
) -> Combined:
    """Combine the `members`' probabilities (photos, classes) for photos of groups that none was trained on.

    `way`: one of WAYS; with AUTO the simplest one whose nested score is not significantly different from the
    best.
    UsageError if there is only one group, or one class without one of the folds.
    """
    every = np.asarray(members, np.float64)
    fold = assign_folds(groups, labels)
    if any(len(np.unique(labels[fold != one])) < 2 for one in np.unique(fold)):
        raise UsageError("a nested estimate needs 2 classes or more in each part of the groups")
    fits = fits_of(every, labels, groups, metric)

    def nested(fit: Fit, some: np.ndarray) -> np.ndarray:
        return out_of_fold(lambda rows: lambda others: fit(rows).apply(some[:, others]), fold)

    answers = {name: nested(fit, every) for name, fit in fits.items()}
    counts = counts_of_probabilities(labels, groups, list(answers.values()))
    known = dict(zip(fits, intervals(counts, metric), strict=True))
    gains = dict(zip(fits, differences(counts, 0, metric), strict=True))
    taken = _simplest(counts, known, metric) if way == AUTO else way
    chosen = fits[taken](np.ones(len(labels), bool))
    fewer = [np.delete(every, member, 0) for member in range(len(every))]
    without = [nested(fits_of(some, labels, groups, metric)[taken], some) for some in fewer]
    behind = differences(counts_of_probabilities(labels, groups, [answers[taken], *without]), 0, metric)
    adds = tuple(replace(one, value=-one.value, low=-one.high, high=-one.low) for one in behind[1:])
    return Combined(chosen, way, known, gains, answers[taken], adds)


def _simplest(counts: Counts, known: Mapping[str, Interval], metric: str) -> str:
    """The simplest of WAYS that is not significantly different from the one with the best score."""
    names = list(known)
    top = max(WAYS, key=lambda way: known[way].value)
    behind = dict(zip(names, differences(counts, names.index(top), metric), strict=True))
    return next(way for way in WAYS if way == top or behind[way].contains_zero)
