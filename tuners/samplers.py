"""Samplers of a study by name: which recipe to try next.

The default, `gaussian_process`, is our own; the others are Optuna's, set up for spaces with nested choices.
"""

import difflib
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import log_ndtr

from tuners.curves import predict_final
from tuners.gaussian_process import (
    SCORES,
    Kernel,
    Posterior,
    Prior,
    fit,
    log_expected_improvement,
    similarity,
)
from tuners.space import Params, Space

START = 3  # trials before the model chooses: the default and those far from it
FAR = 60  # random recipes of which the start takes the farthest
REFIT = 4  # ended trials after which a kernel is fitted again
FIT, CONDITION = 80, 200  # the most trials that a kernel is fitted to, and that a process is conditioned on
RANDOM, LOCAL, BEST = 200, 200, 5  # candidates: at random, and around how many of the best recipes
WIDE, CLOSER = 0.15, (0.1, 0.05)  # how far around, in fractions of a range: first, then around the best
# Improvement counts from above the best, in standard deviations of the process: else the search goes on for
# ever about the best recipe for gains smaller than a training's noise (Lizotte, Practical Bayesian
# Optimization, 2008, chapter 4).
MARGIN = 0.2
RIDGE = 0.3  # penalty of the regression of costs
# Of two processes of failures the coarse one knows regions, the fine one their borders; a failure may be an
# accident.
FAILURES = (
    Prior(theta=1.0, nugget=0.5, length=0.5, deviation=0.5),
    Prior(theta=2.0, nugget=0.2, length=0.05, deviation=0.5),
)
HOPELESS = 0.25  # a recipe with a smaller chance to succeed is taken if there are no others only
DOUBT = 2.0  # the variance of a predicted final score counts this often

# User attributes of a trial. CHOSEN: "given" (enqueued), "default", "farthest", "model"; PREDICTED, with the
# last: mean and standard deviation of its score. SECONDS is set by whoever runs the trials: what a trial took
# so far.
CHOSEN, PREDICTED, SECONDS = "chosen_by", "predicted", "seconds"


@dataclass(frozen=True)
class Evidence:
    """What the trials of a study showed, the higher the better; recipes are rows of positions.

    Of the ended trials, in the order of their ends: `recipes` (n, parameters), `scores` (n,), NaN of failed
    ones, predicted ones of stopped trials, with the variance `noise` (n,) of the prediction, 0 of finished
    ones; `seconds` (n,) of the whole training, NaN if unknown. `running` (m, parameters): those under way.
    """

    recipes: np.ndarray
    scores: np.ndarray
    noise: np.ndarray
    seconds: np.ndarray
    running: np.ndarray

    @property
    def failed(self) -> np.ndarray:
        return np.isnan(self.scores)

    @property
    def finished(self) -> np.ndarray:
        return ~self.failed & (self.noise == 0)


class Surrogate:
    """What the evidence says about recipes; at least two trials must have a score."""

    def __init__(self, space: Space, evidence: Evidence, kernels: "Kernels"):
        self._space = space
        scored = np.flatnonzero(~evidence.failed)
        scored = scored[_spread(evidence.scores[scored], CONDITION)]
        recipes, finished = evidence.recipes[scored], evidence.finished[scored]
        known = evidence.finished if evidence.finished.sum() > 1 else ~evidence.failed
        kernel = kernels.fitted(SCORES, evidence.recipes[known], evidence.scores[known])
        process = Posterior(kernel, recipes, evidence.scores[scored], evidence.noise[scored])
        means = process.mean_at(recipes)
        # Not the highest score, which has been lucky.
        self.best = float(means[finished].max() if finished.any() else means.max())
        self.goal = self.best + MARGIN * math.sqrt(process.variance)
        self.best_recipes = recipes[np.argsort(-means, kind="stable")]
        self._scores = process.believing(evidence.running)
        self._failures = _failures(evidence, kernels)
        self._seconds = _seconds(space, evidence)

    def predict(self, recipes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (m,) of the scores of recipes (m, parameters), without a training's
        noise."""
        return self._scores.at(recipes)

    def log_value(self, recipes: np.ndarray) -> np.ndarray:
        """The logarithm (m,) of expected improvement x probability of success / predicted seconds."""
        value = log_expected_improvement(*self.predict(recipes), self.goal)
        if self._failures:
            success = log_success(self._failures, recipes)
            value += np.where(success < math.log(HOPELESS), success - 20, success)
        if self._seconds is not None:
            value -= _columns(self._space, recipes) @ self._seconds
        return value


class Kernels:
    """Fits kernels, again when REFIT more trials have ended: the same for the same trials, whoever asked
    before."""

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
    """Indices of at most `limit` values: the highest half, and every so many of the others."""
    if len(values) <= limit:
        return np.arange(len(values))
    best, others = np.split(np.argsort(-values, kind="stable"), [limit // 2])
    others = np.sort(others)[np.linspace(0, len(others) - 1, limit - limit // 2).round().astype(int)]
    return np.sort(np.r_[best, others])


# Failures


def _failures(evidence: Evidence, kernels: Kernels) -> list[Posterior]:
    """Processes of the labels 1 (failed) and 0, that are 0 where nothing is known; none before the first
    failure."""
    labels = evidence.failed.astype(float)
    if not labels.any():
        return []
    kept = _spread(labels, CONDITION)
    recipes = evidence.recipes[kept]
    return [
        Posterior(
            kernels.fitted(prior, evidence.recipes, labels),
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


def _seconds(space: Space, evidence: Evidence) -> np.ndarray | None:
    """Weights of `_columns` that predict the logarithm of the seconds, by ridge regression: costs
    multiply."""
    known = ~np.isnan(evidence.seconds)
    if known.sum() < 2:
        return None
    inputs, logs = _columns(space, evidence.recipes[known]), np.log(evidence.seconds[known])
    return np.linalg.solve(
        inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ (logs - logs.mean())
    )


def _columns(space: Space, recipes: np.ndarray) -> np.ndarray:
    """Recipes as inputs of a linear model: a column for each option, for each number, and for its absence."""
    columns = []
    for parameter, column in zip(space.parameters, recipes.T, strict=True):
        if parameter.is_category:
            columns += [column == index for index in range(len(parameter.options))]
        else:
            columns += [np.nan_to_num(column), np.isnan(column)]
    return np.array(columns, float).T


class GaussianProcessSampler(BaseSampler):
    """Draws the recipe of the largest expected improvement, by a Gaussian process
    (`tuners.gaussian_process`).

    Trial 0 is `default`, unless a trial was enqueued; up to the third, each is the farthest of 60 random
    recipes from those before. Then, of random recipes and of neighbours of the best ones, the one of the
    largest expected improvement x probability of success / predicted seconds. A whole recipe is drawn at
    once, so that only active parameters are.

    It learns from all trials that have the parameters of the space: the score of a COMPLETE one; the final
    score that the curve of a PRUNED one leads to, with its uncertainty (`tuners.curves`); where FAILed ones
    lie; RUNNING ones count as if their score were what is expected (Ginsbourger, Le Riche and Carraro, 2010:
    'kriging believer'), so that parallel trials differ. Costs count if the trials' user attribute SECONDS is
    set.

    Deterministic given the seed, the trial's number and the trials before, across a restart, too.
    """

    def __init__(self, space: Space, seed: int = 0, default: Params | None = None):
        if default is not None and not space.holds(default):
            raise ValueError(f"the default is not a recipe of the search space: {default}")
        self.space, self.seed, self.default = space, seed, default
        self._kernels = Kernels(space.categories)
        self._rows: dict[tuple[str, int], np.ndarray | None] = {}  # positions by study and trial

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:
            _note(study, trial, CHOSEN, "given")
            return {}
        rng = np.random.default_rng([self.seed, trial.number])
        evidence = self.evidence(study)
        tried = np.concatenate([evidence.recipes, evidence.running])
        if not len(tried) and self.default:
            _note(study, trial, CHOSEN, "default")
            return self.default
        if len(tried) < START or (~evidence.failed).sum() < 2:
            _note(study, trial, CHOSEN, "farthest")
            return self.space.at(self._farthest(rng, evidence, tried))
        surrogate = Surrogate(self.space, evidence, self._kernels)
        chosen = self._best(
            rng, surrogate, tried[np.r_[~evidence.failed, np.ones(len(evidence.running), bool)]]
        )
        mean, deviation = (float(value[0]) for value in surrogate.predict(chosen[None]))
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        _note(study, trial, CHOSEN, "model")
        _note(study, trial, PREDICTED, [sign * mean, deviation])
        return self.space.at(chosen)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What an enqueued recipe left open is drawn at random."""
        rng = np.random.default_rng([self.seed, trial.number, zlib.crc32(param_name.encode())])
        parameter = self.space[param_name]
        return parameter.value(parameter.draw(rng, 1)[0])

    def evidence(self, study: Study) -> Evidence:
        """What the trials of the study showed so far."""
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        trials = [t for t in study.get_trials(deepcopy=False) if self._row(study, t) is not None]
        ended = [trial for trial in trials if trial.state.is_finished()]
        ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        finished, finals = [], []
        for trial in ended:
            if math.isfinite(final := _final(trial, sign)):
                finished.append(_curve(trial, sign))
                finals.append(final)
        longest = max(map(len, finished), default=0)
        newest = {_key(trial.params): trial.number for trial in ended}
        known: list[tuple[np.ndarray | None, float, float, float]] = []
        for trial in ended:
            score, noise, seconds = _final(trial, sign), 0.0, trial.user_attrs.get(SECONDS, math.nan)
            if trial.state == TrialState.PRUNED:
                curve = _curve(trial, sign)
                if not curve or newest[_key(trial.params)] != trial.number:
                    continue  # nothing is known, or it was gone on with and the later trial knows more
                score, variance = predict_final(curve, finished, finals)
                noise = DOUBT * variance + 1e-12
                seconds *= max(longest, len(curve)) / len(curve)
            known.append(
                (
                    self._row(study, trial),
                    score,
                    noise,
                    seconds if score == score and seconds > 0 else math.nan,
                )
            )
        running = [self._row(study, trial) for trial in trials if trial.state == TrialState.RUNNING]
        width = len(self.space.parameters)
        rows, *columns = zip(*known, strict=True) if known else ((), (), (), ())
        scores, noise_of, seconds_of = (np.array(column, float) for column in columns)
        return Evidence(
            np.array(rows).reshape(-1, width),
            scores,
            noise_of,
            seconds_of,
            np.array(running).reshape(-1, width),
        )

    def surrogate(self, study: Study) -> Surrogate:
        """The model as of now."""
        return Surrogate(self.space, self.evidence(study), self._kernels)

    def _row(self, study: Study, trial: FrozenTrial) -> np.ndarray | None:
        """The positions of a trial; None if it does not hold a whole recipe of the space (yet)."""
        key = study.study_name, trial.number
        if key not in self._rows:
            row = self.space.positions(trial.params) if self.space.holds(trial.params) else None
            if row is None and not trial.state.is_finished():
                return None
            self._rows[key] = row
        return self._rows[key]

    def _farthest(self, rng: np.random.Generator, evidence: Evidence, tried: np.ndarray) -> np.ndarray:
        drawn = self.space.draw(rng, FAR)
        if not len(tried):
            return drawn[0]
        pairs = zip(drawn.T, tried.T, self.space.categories, strict=True)
        unlike = [1 - similarity(ours, theirs, category) for ours, theirs, category in pairs]
        distances = np.sum(unlike, axis=0).min(1)
        if failures := _failures(evidence, self._kernels):
            distances = distances * np.exp(log_success(failures, drawn))
        return drawn[np.argmax(distances)]

    def _best(self, rng: np.random.Generator, surrogate: Surrogate, known: np.ndarray) -> np.ndarray:
        """The best of random recipes and neighbours of the best ones, then of the neighbours of the best of
        these."""
        best = surrogate.best_recipes[:BEST]
        near = self.space.around(rng, best[rng.integers(len(best), size=LOCAL)], WIDE)
        candidates = _new(np.concatenate([self.space.draw(rng, RANDOM), near]), known)
        values = surrogate.log_value(candidates)
        for scale in CLOSER:
            top = np.argsort(-values, kind="stable")[:10]
            near = _new(self.space.around(rng, np.repeat(candidates[top], 10, 0), scale), known)
            candidates = np.concatenate([candidates[top], near])
            values = np.r_[values[top], surrogate.log_value(near)]
        return candidates[np.argmax(values)]


def _final(trial: FrozenTrial, sign: int) -> float:
    """The final score of a finished trial; NaN of any other, or if it is not finite."""
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return sign * value if value is not None and math.isfinite(value) else math.nan


def _key(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))


def _curve(trial: FrozenTrial, sign: int) -> list[float]:
    reports = sorted(trial.intermediate_values.items())
    return [sign * value for _, value in reports if math.isfinite(value)]


def _new(recipes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The recipes that are not among the known ones; all, if all are."""
    seen = {row.tobytes() for row in known}
    new = recipes[[row.tobytes() not in seen for row in recipes]]
    return new if len(new) else recipes


def _note(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, key, value)


class GridSampler(BaseSampler):
    """Every recipe of a space without continuous ranges once, in the order of the options, the last
    parameter's fastest.

    Optuna's own walks the product of all parameters, active or not, which repeats recipes of nested choices.
    """

    def __init__(self, space: Space):
        self.space = space
        next(space.grid())  # refuses a continuous range at once

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._next(study) or next(self.space.grid())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"{param_name} is not in an enqueued recipe, which must be a whole one for a grid")

    def is_exhausted(self, study: Study) -> bool:
        """Whether every recipe was tried; the next one would be the first again."""
        return self._next(study) is None

    def _next(self, study: Study) -> Params | None:
        seen = {_key(trial.params) for trial in study.get_trials(deepcopy=False)}
        return next((params for params in self.space.grid() if _key(params) not in seen), None)


def _tpe(space: Space, seed: int, default: Params | None) -> BaseSampler:
    # Without `group`, parameters of nested choices are drawn independently of each other.
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _cma_es(space: Space, seed: int, default: Params | None) -> BaseSampler:
    _refuse_nested("cma_es", space)
    return optuna.samplers.CmaEsSampler(seed=seed)


def _optuna_gp(space: Space, seed: int, default: Params | None) -> BaseSampler:
    _refuse_nested("optuna_gp", space)
    return optuna.samplers.GPSampler(seed=seed)


def _refuse_nested(name: str, space: Space) -> None:
    nested = [parameter.name for parameter in space.parameters if parameter.condition]
    if nested:
        raise ValueError(
            f"sampler {name}: it draws parameters of nested choices at random, for ever, and this space has "
            f"{', '.join(nested[:3])}{', ...' if nested[3:] else ''}; use gaussian_process or tpe"
        )


SAMPLERS: Mapping[str, Callable[[Space, int, Params | None], BaseSampler]] = {
    "gaussian_process": GaussianProcessSampler,
    "tpe": _tpe,
    "random": lambda space, seed, default: optuna.samplers.RandomSampler(seed=seed),
    "grid": lambda space, seed, default: GridSampler(space),
    "cma_es": _cma_es,
    "optuna_gp": _optuna_gp,
}


def sampler(name: str, space: Space, seed: int = 0, default: Params | None = None) -> BaseSampler:
    """The sampler of SAMPLERS by its name; ValueError if there is none, or it can't search this space.

    `default`: what gaussian_process tries first; for the others enqueue it.
    """
    if name not in SAMPLERS:
        close = difflib.get_close_matches(name, SAMPLERS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(SAMPLERS)}"
        raise ValueError(f"unknown sampler '{name}'; {hint}")
    return SAMPLERS[name](space, seed, default)
