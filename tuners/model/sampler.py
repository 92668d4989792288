"""The default sampler of a study: a Gaussian process over the space says which recipe to try next."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuners.model.curves import FinalScores, scaled, stint_ends
from tuners.model.gaussian_process import log_expected_improvement, similarity
from tuners.model.surrogate import (
    DOUBT,
    EARLIER_DOUBT,
    EarlierRecipes,
    Evidence,
    Kernels,
    Part,
    Paused,
    Surrogate,
    failure_processes,
    log_success,
    with_earlier,
)
from tuners.spaces.parameter import Params
from tuners.spaces.space import Space, recipe_key

START = 3  # trials before the model chooses: those enqueued, and those far from them
FAR = 60  # random recipes of which the start takes the farthest
RANDOM, LOCAL, BEST = 200, 200, 5  # candidates: at random, and around how many of the best recipes
WIDE, CLOSER = 0.15, (0.1, 0.05)  # how far around, in fractions of a range: first, then around the best

# User attributes of a trial. CHOSEN: "given" (enqueued with values left open), "farthest", "model"; with the
# last, PREDICTED: mean and standard deviation of its score, and IMPROVEMENT: the expected one over the best.
# The caller sets SECONDS, STARTING, EPOCHS and REPEATS: what a trial's training took so far, and what its
# last start took before that; of how many epochs a whole training of its recipe is; that it was not run,
# since its recipe is that of another trial.
CHOSEN, PREDICTED, IMPROVEMENT = "chosen_by", "predicted", "expected_improvement"
SECONDS, STARTING, EPOCHS, REPEATS = "seconds", "starting", "epochs", "repeats"


class GaussianProcessSampler(BaseSampler):
    """Draws the recipe of the largest expected improvement, by a Gaussian process
    (`tuners.model.gaussian_process`).

    Up to the third, each trial that was not enqueued is the farthest of 60 random recipes from those before.
    Then, of random recipes and of neighbours of the best ones, the one of the largest expected improvement x
    probability of success / predicted seconds. A whole recipe is drawn at once, so that only active
    parameters are.

    It learns from all trials that have the parameters of the space: the score of a COMPLETE one; the final
    score that the curve of a PRUNED one leads to, with its uncertainty (`tuners.model.curves`); where FAILed
    ones lie; RUNNING ones count as if their score were what is expected (Ginsbourger, Le Riche and Carraro,
    2010: 'kriging believer'), so that parallel trials differ. Costs count if the trials' user attribute
    SECONDS is set.

    Deterministic given the seed, the trial's number and the trials before, across a restart, too. A sampler
    is for one study, whose scores are maximized.
    """

    def __init__(self, space: Space, seed: int = 0):
        self.space, self.seed = space, seed
        self.pauses = False  # whether trainings may be paused, as `tuners.search.PauseAndGoOn` does
        self._seconds = math.inf  # that the search has left, as last given to `options`
        self._kernels = Kernels(space.categories)
        self._rows: dict[int, np.ndarray | None] = {}  # positions by trial
        self._curves: dict[tuple[int, int], list[float]] = {}  # by trial and epochs
        self._evidence: tuple[Any, Evidence] | None = None  # the latest, and of which trials
        self._kept: tuple[bytes, dict[Any, Any]] = b"", {}  # what was computed from the latest evidence
        self._earlier: EarlierRecipes | None = None

    def learn_earlier(
        self, params: Sequence[Params], scores: Sequence[float], doubts: Sequence[float]
    ) -> None:
        """Learn from recipes of earlier experiments, too, by the normal scores of their ranks: they are
        uncertain observations, moved and stretched to the scores of this study. There is no start-up then.

        `doubts`: standard deviations of the scores, beside EARLIER_DOUBT. Values may lie outside the space.
        """
        self._earlier = EarlierRecipes(
            np.array([self.space.places(one) for one in params]),
            np.array(scores, float),
            EARLIER_DOUBT**2 + np.array(doubts, float) ** 2,
            np.array([not self.space.holds(one) for one in params]),
        )
        self._evidence = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if "fixed_params" in trial.system_attrs:
            _note(study, trial, CHOSEN, "given")
            return {}
        evidence = self.evidence(study)
        if self._starts(evidence):
            rng = np.random.default_rng([self.seed, trial.number])
            _note(study, trial, CHOSEN, "farthest")
            return self.space.at(self._farthest(rng, evidence))
        new = self._new(trial.number, evidence)
        _note(study, trial, CHOSEN, "model")
        _note(study, trial, PREDICTED, [new.mean, new.deviation])
        _note(study, trial, IMPROVEMENT, new.improvement)
        return self.space.at(new.recipe)

    def options(self, study: Study, pausing: int | None = None, seconds: float = math.inf) -> list["Option"]:
        """The recipe that would be suggested next, and the paused ones; [] if the model can't choose yet.

        `pausing`: a running trial that counts as paused. Of new recipes those are left aside, if possible,
        whose training would take longer than `seconds`, here and in the next suggestion.
        """
        self._seconds = seconds
        evidence = self.evidence(study, pausing)
        if self._starts(evidence):
            return []
        number = len(study.get_trials(deepcopy=False))
        surrogate, new = self._surrogate(evidence), self._new(number, evidence)
        if not evidence.paused:
            return [new]
        recipes = np.array([one.recipe for one in evidence.paused])
        values, logs = surrogate.log_value_of(evidence.paused), surrogate.log_seconds(recipes)
        paused = [
            Option(
                one.number,
                one.recipe,
                float(value),
                one.left,
                one.start + one.left * (one.seconds if one.seconds == one.seconds else math.exp(log)),
            )
            for one, value, log in zip(evidence.paused, values, logs, strict=True)
        ]
        return [new, *paused]

    def _starts(self, evidence: Evidence) -> bool:
        """Whether too little is known for the model to choose."""
        return not evidence.earlier.any() and (len(evidence.tried) < START or (~evidence.failed).sum() < 2)

    def _surrogate(self, evidence: Evidence) -> Surrogate:
        return self._latest(evidence, ("surrogate",), lambda: Surrogate(self.space, evidence, self._kernels))

    def _new(self, number: int, evidence: Evidence) -> "Option":
        """What the model chooses as trial `number` of the study: what it chose before, if nothing has
        changed since, nor the time that is left."""
        key = "new", number, self._seconds
        return self._latest(evidence, key, lambda: self._choose(number, evidence))

    def _latest(self, evidence: Evidence, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        rows = (evidence.recipes, evidence.scores, evidence.noise, evidence.seconds, evidence.running)
        mark = b"".join(part.tobytes() for part in (*rows, np.array(evidence.start)))
        if self._kept[0] != mark:
            self._kept = mark, {}
        if key not in self._kept[1]:
            self._kept[1][key] = make()
        return self._kept[1][key]

    def _choose(self, number: int, evidence: Evidence) -> "Option":
        surrogate = self._surrogate(evidence)
        rng = np.random.default_rng([self.seed, number])
        chosen, value = self._best(rng, surrogate, evidence)
        mean, deviation = (one[0] for one in surrogate.predict(chosen[None]))
        improvement = math.exp(log_expected_improvement(mean, deviation, surrogate.best))
        mean, deviation, improvement = (float(one * evidence.unit) for one in (mean, deviation, improvement))
        log = float(surrogate.log_seconds(chosen[None])[0])
        seconds = evidence.start + math.exp(log)
        return Option(None, chosen, value, 1.0, seconds, mean, deviation, improvement)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What an enqueued recipe left open is drawn at random."""
        return self.space.draw_one(param_name, self.seed, trial.number)

    def evidence(self, study: Study, pausing: int | None = None) -> Evidence:
        """What the trials of the study showed so far; the running trial `pausing` counts as paused."""
        trials = [trial for trial in study.get_trials(deepcopy=False) if REPEATS not in trial.user_attrs]
        trials = [trial for trial in trials if self._row(trial) is not None]
        mark = pausing, [(one.state, len(one.intermediate_values)) for one in trials]
        if self._evidence is None or self._evidence[0] != mark:
            self._evidence = mark, self._gathered(trials, pausing)
        return self._evidence[1]

    def _gathered(self, trials: list[FrozenTrial], pausing: int | None) -> Evidence:
        ended = [trial for trial in trials if trial.state.is_finished()]
        ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
        finished = [trial for trial in ended if math.isfinite(_final(trial))]
        longest = max((len(self._curve(trial)) for trial in finished), default=0)
        predictor, scores, unit = self._scores(trials, finished)
        stopped = any(trial.state == TrialState.PRUNED for trial in ended)
        newest = {
            recipe_key(trial.params): trial.number
            for trial in (trials if stopped else ())
            if trial.state.is_finished() or trial.intermediate_values
        }
        part = cache(partial(_part, predictor))  # hundreds are paused after the same few epochs
        start = median([one for trial in trials if (one := trial.user_attrs.get(STARTING))] or [0.0])
        known: list[tuple[np.ndarray | None, float, float, float]] = []
        paused: list[Paused] = []
        for trial in ended:
            seconds = _seconds(trial)
            score, noise = scores.get(trial.number, (math.nan, 0.0))
            if trial.state == TrialState.PRUNED:
                if trial.number not in scores or newest[recipe_key(trial.params)] != trial.number:
                    continue  # nothing is known, or it was gone on with and the later trial knows more
                epochs = len(self._curve(trial))
                seconds *= max(trial.user_attrs.get(EPOCHS, longest), epochs) / epochs
            known.append((self._row(trial), score, noise, seconds if score == score else math.nan))
        count = len(known)
        for trial in trials:
            if trial.state.is_finished():
                continue
            row, epoch = self._row(trial), len(self._curve(trial))
            assert row is not None
            at, seconds = None, math.nan
            epochs = max(trial.user_attrs.get(EPOCHS) or max(longest, epoch + 1), epoch)
            if epoch:
                at, seconds = len(known), _seconds(trial) * epochs / epoch
                known.append((row, *scores[trial.number], seconds))
            if trial.state == TrialState.WAITING or trial.number == pausing:
                own = 0.0 if trial.number == pausing else start
                paused.append(
                    Paused(trial.number, row, at, 1 - epoch / epochs, seconds, part(epoch, epochs), own)
                )
        running = [
            self._row(trial)
            for trial in trials
            if trial.state == TrialState.RUNNING and trial.number != pausing
        ]
        width = len(self.space.parameters)
        rows, *columns = zip(*known, strict=True) if known else ((), (), (), ())
        score_of, noise_of, seconds_of = (np.array(column, float) for column in columns)
        evidence = Evidence(
            np.array(rows).reshape(-1, width),
            score_of,
            noise_of,
            seconds_of,
            np.array(running).reshape(-1, width),
            np.arange(len(rows)) < count,
            np.zeros(len(rows), bool),
            np.zeros(len(rows), bool),
            tuple(paused),
            part(0, longest) if self.pauses and longest > 1 else None,
            start,
            unit,
        )
        return with_earlier(evidence, self._earlier, self._kernels) if self._earlier else evidence

    def _scores(
        self, trials: list[FrozenTrial], finished: list[FrozenTrial]
    ) -> tuple[FinalScores, dict[int, tuple[float, float]], float]:
        """(The predictor of final scores, {number: (final score, its variance)} of the `finished` ones and,
        as it predicts, of those of the `trials` that were cut short after an epoch or have not ended, the
        unit of both)."""
        states = (TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
        cut_short = [trial for trial in trials if trial.state in states and self._curve(trial)]
        curves = [self._curve(trial) for trial in (*finished, *cut_short)]
        curves, finals, unit = scaled(curves, [_final(trial) for trial in finished])
        predictor = FinalScores(curves, [*finals, *[math.nan] * len(cut_short)])
        means, variances = predictor.predict(curves[len(finished) :])
        scores = {trial.number: (final, 0.0) for trial, final in zip(finished, finals, strict=True)}
        for trial, mean, variance in zip(cut_short, means, variances, strict=True):
            scores[trial.number] = float(mean), DOUBT * float(variance) + 1e-12
        return predictor, scores, unit

    def _curve(self, trial: FrozenTrial) -> list[float]:
        key = trial.number, len(trial.intermediate_values)
        if key not in self._curves:
            reports = sorted(trial.intermediate_values.items())
            self._curves[key] = [value for _, value in reports if math.isfinite(value)]
        return self._curves[key]

    def _row(self, trial: FrozenTrial) -> np.ndarray | None:
        """The positions of a trial; None if it does not hold a whole recipe of the space (yet)."""
        if trial.number not in self._rows:
            row = self.space.positions(trial.params) if self.space.holds(trial.params) else None
            if row is None and not trial.state.is_finished():
                return None
            self._rows[trial.number] = row
        return self._rows[trial.number]

    def _farthest(self, rng: np.random.Generator, evidence: Evidence) -> np.ndarray:
        drawn, tried = self.space.draw(rng, FAR), evidence.tried
        if not len(tried):
            return drawn[0]
        pairs = zip(drawn.T, tried.T, self.space.categories, strict=True)
        unlike = [1 - similarity(ours, theirs, category) for ours, theirs, category in pairs]
        distances = np.sum(unlike, axis=0).min(1)
        if failures := failure_processes(evidence, self._kernels):
            distances = distances * np.exp(log_success(failures, drawn))
        return drawn[np.argmax(distances)]

    def _best(
        self, rng: np.random.Generator, surrogate: Surrogate, evidence: Evidence
    ) -> tuple[np.ndarray, float]:
        """The best of random recipes, earlier experiments' and neighbours of the best ones, then of the
        neighbours of the best of these; and the logarithm of its value."""
        known, earlier = evidence.worked, evidence.recipes[evidence.earlier & ~evidence.outside]
        best = surrogate.best_recipes[:BEST]
        if not len(best):  # all that is known lies outside the space
            best = self.space.draw(rng, BEST)
        near = self.space.around(rng, best[rng.integers(len(best), size=LOCAL)], WIDE)
        candidates = _new(np.concatenate([self.space.draw(rng, RANDOM), near, earlier]), known)
        values = surrogate.log_value(candidates, self._seconds)
        for scale in CLOSER:
            top = np.argsort(-values, kind="stable")[:10]
            near = _new(self.space.around(rng, np.repeat(candidates[top], 10, 0), scale), known)
            candidates = np.concatenate([candidates[top], near])
            values = np.r_[values[top], surrogate.log_value(near, self._seconds)]
        return candidates[np.argmax(values)], float(values.max())


@dataclass(frozen=True)
class Option:
    """A recipe to train, or to train further.

    `number` of its paused trial, None of a new recipe; `recipe`: its positions (parameters,); `value`: the
    logarithm of expected improvement x probability of success / what its training still costs; the
    fraction of its training that is `left`, and the `seconds` that this takes, NaN if unknown. Of a new
    recipe, too: `mean` and `deviation` of its predicted score, the expected `improvement` over the best.
    """

    number: int | None
    recipe: np.ndarray
    value: float
    left: float
    seconds: float
    mean: float = math.nan
    deviation: float = math.nan
    improvement: float = math.nan


def _final(trial: FrozenTrial) -> float:
    """The final score of a finished trial; NaN of any other, or if it is not finite."""
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return value if value is not None and math.isfinite(value) else math.nan


def _seconds(trial: FrozenTrial) -> float:
    """The seconds that a trial took so far; NaN if unknown, or too short for the times of its reports."""
    seconds = float(trial.user_attrs.get(SECONDS, math.nan))
    return seconds if seconds > 0 else math.nan


def _part(predictor: FinalScores, epoch: int, epochs: int) -> Part:
    """The part of a training of `epochs` that follows after `epoch`."""
    end = next((end for end in stint_ends(epochs) if end > epoch), epochs)
    if end == epochs:
        return Part((end - epoch) / epochs, 0.0)
    precision = 1 / predictor.noise(end)
    if epoch:
        precision -= 1 / predictor.noise(epoch)  # what is known already
    return Part((end - epoch) / epochs, max(precision, 0.0))


def _new(recipes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The recipes that are not among the known ones; all, if all are."""
    seen = {row.tobytes() for row in known}
    new = recipes[[row.tobytes() not in seen for row in recipes]]
    return new if len(new) else recipes


def _note(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, key, value)
