"""What the trials of a study say about recipes: their scores, their chance to fail, their costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from tuners.model.gaussian_process import (
    SCORES,
    Kernel,
    Posterior,
    Prior,
    fit,
    log_expected_improvement,
    log_improvement_rate,
)
from tuners.spaces.space import Space

REFIT = 4  # ended trials after which a kernel is fitted again
FIT, CONDITION = 80, 200  # the most trials that a kernel is fitted to, and that a process is conditioned on
# Improvement counts from above the best, in standard deviations of the process: else the search goes on for
# ever about the best recipe for gains smaller than a training's noise (Lizotte, Practical Bayesian
# Optimization, 2008, chapter 4).
MARGIN = 0.2
DOUBT = 2.0  # to the process, the variance of a predicted final score counts this often
RIDGE = 0.3  # penalty of the regression of costs
# Of two processes of failures the coarse one knows regions, the fine one their borders; a failure may be an
# accident.
FAILURES = (
    Prior(theta=1.0, nugget=0.5, length=0.5, deviation=0.5),
    Prior(theta=2.0, nugget=0.2, length=0.05, deviation=0.5),
)
HOPELESS = 0.25  # a recipe with a smaller chance to succeed is taken if there are no others only
# What earlier experiments say: the normal score of a recipe's rank, with a standard deviation of
# EARLIER_DOUBT.
EARLIER = Prior(deviation=1.0)
EARLIER_DOUBT = 1.0
LATE = 1e6  # weighs, in the logarithm of a value, by how much a training would be late


@dataclass(frozen=True)
class Evidence:
    """What the trials of a study showed, the higher the better; recipes are rows of positions.

    Of the ended trials, in the order of their ends, and of those that were paused before: `recipes` (n,
    parameters), `scores` (n,), NaN of failed ones, predicted ones of stopped and paused trials, with the
    variance `noise` (n,) of the prediction, DOUBT included, 0 of finished ones; `seconds` (n,) of the whole
    training without its start, NaN if unknown; `ended` (n,): whether it has ended; `earlier` (n,): whether it
    is of an earlier experiment, `outside` (n,): whether such a one lies outside the space. `running` (m,
    parameters): those under way. `paused`: those that may go on. `first`: the part of its training after
    which a new recipe may be paused; None: trainings run to their ends. `start`: the seconds of a trial
    before its first epoch, each time that it starts or goes on. Scores and their noise are in units of
    `unit` (tuners.model.curves.scaled).
    """

    recipes: np.ndarray
    scores: np.ndarray
    noise: np.ndarray
    seconds: np.ndarray
    running: np.ndarray
    ended: np.ndarray
    earlier: np.ndarray
    outside: np.ndarray
    paused: tuple["Paused", ...] = ()
    first: "Part | None" = None
    start: float = 0.0
    unit: float = 1.0

    @property
    def tried(self) -> np.ndarray:
        """Recipes (k, parameters) that this study tried, or tries, whatever came of it."""
        return np.concatenate([self.recipes[~self.earlier], self.running, *self._paused])

    @property
    def worked(self) -> np.ndarray:
        """Those of them (k, parameters) that did not fail."""
        return np.concatenate([self.recipes[~self.earlier & ~self.failed], self.running, *self._paused])

    @property
    def _paused(self) -> list[np.ndarray]:
        """A paused recipe without a curve is not among `recipes`."""
        return [one.recipe[None] for one in self.paused]

    @property
    def failed(self) -> np.ndarray:
        return np.isnan(self.scores)

    @property
    def finished(self) -> np.ndarray:
        return ~self.failed & (self.noise == 0)


@dataclass(frozen=True)
class Part:
    """The next part of a training: its `fraction` of the whole, and the `precision` (1 / variance) with which
    it shows the final score; 0 of the last part, after which it is known."""

    fraction: float
    precision: float


@dataclass(frozen=True)
class Paused:
    """The `number` of a paused trial in the study, its `recipe` (parameters,), where it is among the evidence
    (`at`; None: it has no curve), the fraction of its training that is `left`, the `seconds` of a whole
    training, NaN if unknown, the `next` part, and the seconds of its `start`, 0 if it still runs."""

    number: int
    recipe: np.ndarray
    at: int | None
    left: float
    seconds: float
    next: Part
    start: float = 0.0


class Surrogate:
    """What the evidence says about recipes; at least two trials must have a score."""

    def __init__(self, space: Space, evidence: Evidence, kernels: "Kernels"):
        self._space = space
        scored = np.flatnonzero(~evidence.failed)
        scored = scored[_spread(evidence.scores[scored], CONDITION)]
        recipes, finished = evidence.recipes[scored], evidence.finished[scored]
        known = evidence.finished | evidence.earlier
        known = known if known.sum() > 1 else ~evidence.failed
        kernel = kernels.fitted(SCORES, evidence.recipes[known], evidence.scores[known])
        process = Posterior(kernel, recipes, evidence.scores[scored], evidence.noise[scored])
        means = process.mean_at(recipes)
        # Not the highest score, which has been lucky.
        inside = ~evidence.outside[scored]
        among = finished if finished.any() else inside if inside.any() else ~inside
        self.best = float(means[among].max())
        self.goal = self.best + MARGIN * math.sqrt(process.variance)
        order = np.argsort(-means, kind="stable")
        self.best_recipes = recipes[order[inside[order]]]
        self._scores = process.believing(evidence.running)
        # Where the evidence's trials are in the process.
        self._at: dict[int | None, int] = {int(at): number for number, at in enumerate(scored)}
        self._first, self._start = evidence.first, evidence.start
        self._failures = failure_processes(evidence, kernels)
        self._costs = _costs(space, evidence)

    def predict(self, recipes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) of the scores of recipes (m, parameters), without a training's
        noise."""
        return self._scores.at(recipes)

    def log_value(self, recipes: np.ndarray, seconds_left: float = math.inf) -> np.ndarray:
        """The logarithm (m,) of expected improvement x probability of success / expected seconds, which are
        those of the first part where that shows enough; much less of recipes whose training takes longer
        than `seconds_left`."""
        means, deviations = self.predict(recipes)
        start = self._start_cost(self._start, recipes)
        if self._first is None:
            value = log_expected_improvement(means, deviations, self.goal) - np.log1p(start)
        else:
            precision, costs = (
                np.full(len(recipes), self._first.precision),
                (self._first.fraction + start, 1 + start),
            )
            value = log_improvement_rate(means, deviations, self.goal, precision, *costs)
        return self._per_second(value, recipes, seconds_left)

    def log_value_of(self, paused: Sequence[Paused]) -> np.ndarray:
        """The same (m,) of paused trials: their improvement is that of `finals`, their seconds those left."""
        recipes = np.array([one.recipe for one in paused])
        parts = np.array([(one.next.precision, one.next.fraction, one.left) for one in paused]).T
        parts[1:] += self._start_cost(np.array([one.start for one in paused]), recipes)
        return self._per_second(log_improvement_rate(*self.finals(paused), self.best, *parts), recipes)

    def _start_cost(self, seconds: float | np.ndarray, recipes: np.ndarray) -> np.ndarray:
        """What starts of these `seconds` cost (m,), in trainings of the recipes; 0 if that is not known."""
        return np.nan_to_num(seconds / np.exp(self.log_seconds(recipes)))

    def finals(self, paused: Sequence[Paused]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) of the scores that paused trainings end with.

        A curve tells more of the score that its own training ends with than of what its recipe is good for:
        the noise of that training is in the curve, too. So this is the product of two normal distributions of
        the final score: what the other trials say of it, and what its curve does.
        """
        means, deviations = self.predict(np.array([one.recipe for one in paused]))
        without, variances = self._scores.left_out()
        for number, one in enumerate(paused):
            if one.at in self._at:  # else it has no curve, or is none of those conditioned on
                at = self._at[one.at]
                ours = max(variances[at] - self._scores.noise[at], 0.0)
                noise = self._scores.noise[at] / DOUBT
                trust = ours / (ours + noise)
                means[number] = without[at] + trust * (self._scores.scores[at] - without[at])
                deviations[number] = math.sqrt(trust * noise) + 1e-9
        return means, deviations

    def _per_second(
        self, value: np.ndarray, recipes: np.ndarray, seconds_left: float = math.inf
    ) -> np.ndarray:
        if self._failures:
            success = log_success(self._failures, recipes)
            value += np.where(success < math.log(HOPELESS), success - 20, success)
        if self._costs is not None:
            logs = self.log_seconds(recipes)
            value -= logs
            late = logs + np.log1p(self._start_cost(self._start, recipes)) - math.log(max(seconds_left, 1e-9))
            value -= LATE * np.maximum(0, late)
        return value

    def log_seconds(self, recipes: np.ndarray) -> np.ndarray:
        """The logarithms (m,) of the seconds that whole trainings take; NaN if nothing is known."""
        if self._costs is None:
            return np.full(len(recipes), math.nan)
        mean, weights = self._costs
        return mean + _columns(self._space, recipes) @ weights


class Kernels:
    """Fits kernels, again when REFIT more trials have ended; they depend on the ended trials only, and on the
    unit of their scores: those that still run can change it."""

    def __init__(self, categories: np.ndarray):
        self._categories = categories
        self._fitted: dict[Prior, tuple[bytes, Kernel]] = {}

    def fitted(self, prior: Prior, recipes: np.ndarray, values: np.ndarray) -> Kernel:
        count = len(values) - len(values) % REFIT if len(values) >= REFIT else len(values)
        recipes, values = recipes[:count], values[:count]
        if count < 2 or np.ptp(values) == 0:
            return prior.kernel(self._categories)
        key = recipes.tobytes() + values.tobytes()
        if self._fitted.get(prior, (b"",))[0] != key:
            kept = _spread(values, FIT)
            self._fitted[prior] = key, fit(recipes[kept], values[kept], self._categories, prior)
        return self._fitted[prior][1]


def _spread(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most `limit` values: the highest half, and others at equal distances by rank."""
    if len(values) <= limit:
        return np.arange(len(values))
    best, others = np.split(np.argsort(-values, kind="stable"), [limit // 2])
    others = np.sort(others)[np.linspace(0, len(others) - 1, limit - limit // 2).round().astype(int)]
    return np.sort(np.r_[best, others])


# Earlier experiments


@dataclass(frozen=True)
class EarlierRecipes:
    """Recipes of earlier experiments (n, parameters), their normal `scores` (n,), the variances of these as
    `noise` (n,), and whether they lie `outside` the space (n,)."""

    recipes: np.ndarray
    scores: np.ndarray
    noise: np.ndarray
    outside: np.ndarray


def with_earlier(evidence: Evidence, earlier: EarlierRecipes, kernels: Kernels) -> Evidence:
    """The evidence with that of earlier experiments, whose scores are standard normal.

    The standard deviation here is that of this study's finished trials and of the prior; the mean is the
    one that fits them, given what the earlier experiments say about their recipes.
    """
    recipes, scores, noise = earlier.recipes, earlier.scores, earlier.noise
    ours, count = evidence.scores[evidence.finished], int(evidence.finished.sum())
    deviation = math.sqrt(SCORES.variance(count * ours.var() if count else 0.0, count))
    mean = 0.0
    if count:
        kernel = kernels.fitted(EARLIER, recipes, scores)
        theirs = Posterior(kernel, recipes, scores, noise, mean=0.0, variance=EARLIER.deviation**2)
        mean = float((ours - deviation * theirs.mean_at(evidence.recipes[evidence.finished])).mean())
    paused = (one if one.at is None else replace(one, at=one.at + len(scores)) for one in evidence.paused)
    return replace(
        evidence,
        recipes=np.concatenate([recipes, evidence.recipes]),
        scores=np.r_[mean + deviation * scores, evidence.scores],
        noise=np.r_[deviation**2 * noise, evidence.noise],
        seconds=np.r_[np.full(len(scores), math.nan), evidence.seconds],
        ended=np.r_[np.ones(len(scores), bool), evidence.ended],
        earlier=np.r_[np.ones(len(scores), bool), evidence.earlier],
        outside=np.r_[earlier.outside, evidence.outside],
        paused=tuple(paused),
    )


# Failures


def failure_processes(evidence: Evidence, kernels: Kernels) -> list[Posterior]:
    """Processes of the labels 1 (failed) and 0, that are 0 where nothing is known; none before the first
    failure."""
    labels = evidence.failed.astype(float)
    if not labels.any():
        return []
    kept = _spread(labels, CONDITION)
    recipes = evidence.recipes[kept]
    return [
        Posterior(
            kernels.fitted(prior, evidence.recipes[evidence.ended], labels[evidence.ended]),
            recipes,
            labels[kept],
            mean=0.0,
            variance=prior.deviation**2,
        )
        for prior in FAILURES
    ]


def log_success(failures: list[Posterior], recipes: np.ndarray) -> np.ndarray:
    """The logarithm (m,) of the probability that a recipe succeeds: that its value is below a half in each
    process.

    Expected improvement x probability of feasibility: Gardner and others, Bayesian Optimization with
    Inequality Constraints, 2014; labels of a classification as values of a regression: Rasmussen and
    Williams, 2006, 6.5.
    """
    found = np.zeros(len(recipes))
    for process in failures:
        mean, deviation = process.at(recipes)
        found += log_ndtr((0.5 - mean) / deviation)
    return found


# Costs


def _costs(space: Space, evidence: Evidence) -> tuple[float, np.ndarray] | None:
    """The mean, and the weights of `_columns`, that predict the logarithm of the seconds, by ridge
    regression: costs multiply."""
    known = ~np.isnan(evidence.seconds)
    if known.sum() < 2:
        return None
    inputs, logs = _columns(space, evidence.recipes[known]), np.log(evidence.seconds[known])
    ridge = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    return float(logs.mean()), np.linalg.solve(ridge, inputs.T @ (logs - logs.mean()))


def _columns(space: Space, recipes: np.ndarray) -> np.ndarray:
    """Recipes as inputs of a linear model: a column for each option, for each number, and for its absence."""
    columns: list[np.ndarray] = []
    filled, absent = np.nan_to_num(recipes, nan=0.0), np.isnan(recipes)
    for number, parameter in enumerate(space.parameters):
        if parameter.is_category:
            columns += [recipes[:, number] == index for index in range(len(parameter.options))]
        else:
            columns += [filled[:, number], absent[:, number]]
    return np.array(columns, float).T
