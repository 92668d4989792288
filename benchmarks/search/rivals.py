"""The searches that are compared, each built as NNI would build it: a tuner and, if it stops trials, an
assessor.

METHODS maps names to `build(curves, seed, workers)`. Syne Tune's need `pip install syne-tune==0.16.0`, which
is not among the project's requirements (about 300 MB); without it they are left out.

Tuners here share their assessor's trials by name: in a replay, and only there, NNI's name of a trial is its
number. Those that model scores are told each result at the recorded recipe that was played, not at their own
suggestion. Ours look for the best among the recorded recipes; with "nearest" in its name, and the rivals,
a search looks in the whole space, and each of its suggestions is moved to the nearest recorded recipe.
"""

import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner
from nni.utils import extract_scalar_reward
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler

from benchmarks.search.earlier import MedianOfFinished
from benchmarks.search.recorded import NearestSearch, NearestTPE, Recorded, RecordedSearch, RecordedSpace
from benchmarks.search.simulate import PARENT, Lookup
from benchmarks.search.table import Curves, Point
from tuners.model.sampler import SECONDS
from tuners.samplers import SAMPLERS
from tuners.search import CannotWin, PauseAndGoOn
from tuners.search import Search as OurSearch
from tuners.spaces.space import Space

Search = tuple[Tuner, Assessor | None]
Build = Callable[[Curves, int, int], Search]

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class RandomOrder(Tuner):
    """The recorded recipes in random order."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)
        self._order: list[Point] = []

    def update_search_space(self, search_space: Any) -> None:
        pass

    def candidates(self, points: Sequence[Point]) -> None:
        self._order = [points[number] for number in self._rng.permutation(len(points))]

    def generate_multiple_parameters(self, parameter_id_list: list[int], **kwargs: Any) -> list[Point]:
        given = self._order[: len(parameter_id_list)]
        self._order = self._order[len(given) :]
        return given

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        pass


class FewEpochsFirst(RandomOrder):
    """Every recipe for a few epochs; then those with the best scores go on to their ends, the best first."""

    def __init__(self, seed: int, epochs: int = 2, best: int = 16):
        super().__init__(seed)
        self.epochs, self._best = epochs, best
        self.waiting: list[tuple[float, str]] = []
        self._points: dict[str, Point] = {}

    def generate_multiple_parameters(self, parameter_id_list: list[int], **kwargs: Any) -> list[Point]:
        given = super().generate_multiple_parameters(parameter_id_list)
        self._points |= {str(number): point for number, point in zip(parameter_id_list, given, strict=False)}
        while len(given) < len(parameter_id_list) and self._best and self.waiting:
            self._best -= 1
            self.waiting.sort()
            _, trial = self.waiting.pop()
            given.append({**self._points[trial], PARENT: trial})
        return given


class AfterFewEpochs(Assessor):
    """Stops each recipe of FewEpochsFirst for the first time."""

    def __init__(self, tuner: FewEpochsFirst):
        self._tuner = tuner

    def assess_trial(self, trial_job_id: str, trial_history: list[Any]) -> AssessResult:
        if len(trial_history) != self._tuner.epochs:
            return AssessResult.Good
        self._tuner.waiting.append((extract_scalar_reward(trial_history[-1]), trial_job_id))
        return AssessResult.Bad


class Study(Tuner):
    """A study of Optuna as NNI's tuner.

    `sampler`: made from the space. `default`: the recorded recipe that is tried first. `restricted`: whether
    the sampler draws candidates from the space and can be kept to the recorded recipes in this way; else each
    suggestion is moved to the nearest. `timed`: whether the study is told the seconds of each trial.
    """

    def __init__(
        self,
        sampler: Callable[[Space], BaseSampler],
        pruner: Any = None,
        name: str | None = None,
        default: Point | None = None,
        restricted: bool = False,
        timed: bool = True,
    ):
        self._sampler, self._pruner, self._name = sampler, pruner, name
        self._default, self._restricted, self._timed = default, restricted, timed
        self.clock: Callable[[], float] = lambda: 0.0
        self._started: dict[int, float] = {}
        self.trials: dict[int, optuna.Trial] = {}
        self.stopped: set[int] = set()

    def update_search_space(self, search_space: Any) -> None:
        self._nni_space, self._space = search_space, Space(search_space)
        self.study = optuna.create_study(
            direction="maximize", sampler=self._sampler(self._space), study_name=self._name,
            pruner=self._pruner or optuna.pruners.NopPruner(),
        )  # fmt: skip
        self._queued = [] if self._default is None else [self._space.params(self._default)]
        for params in self._queued:
            self.study.enqueue_trial(params)

    def candidates(self, points: Sequence[Point]) -> None:
        params = [self._space.params(point) for point in points]
        if self._restricted:
            self.study.sampler = self._sampler(RecordedSpace(self._nni_space, params))
        else:
            self.study.sampler = Recorded(self.study.sampler, self._space, params, self._queued)

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> Point:
        trial = self.trials[parameter_id] = self.study.ask()
        self._started[parameter_id] = self.clock()
        return self._space.ask(trial)

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        self._tell_seconds(parameter_id)
        self.study.tell(self.trials.pop(parameter_id), extract_scalar_reward(value))

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        if parameter_id in self.trials:
            state = (
                optuna.trial.TrialState.PRUNED
                if parameter_id in self.stopped
                else optuna.trial.TrialState.FAIL
            )
            self._tell_seconds(parameter_id)
            self.study.tell(self.trials.pop(parameter_id), state=state)

    def _tell_seconds(self, parameter_id: int) -> None:
        if self._timed:
            self.trials[parameter_id].set_user_attr(SECONDS, self.clock() - self._started.pop(parameter_id))


class Pruner(Assessor):
    """The pruner of a Study as NNI's assessor."""

    def __init__(self, tuner: Study):
        self._tuner = tuner

    def assess_trial(self, trial_job_id: str, trial_history: list[Any]) -> AssessResult:
        trial = self._tuner.trials[int(trial_job_id)]
        trial.report(extract_scalar_reward(trial_history[-1]), len(trial_history))
        if not trial.should_prune():
            return AssessResult.Good
        self._tuner.stopped.add(int(trial_job_id))
        return AssessResult.Bad


class SyneTune(Tuner):
    """A scheduler of Syne Tune as NNI's tuner. Its space has no conditions: every parameter always has a
    value, of which a recipe takes those it needs."""

    def __init__(self, scheduler: Callable[[dict[str, Any]], Any]):
        self._make = scheduler
        self.trials: dict[str, Any] = {}

    def update_search_space(self, search_space: Any) -> None:
        self._space = Space(search_space)
        self.scheduler = self._make({one.name: _domain(one) for one in self._space.parameters})

    def candidates(self, points: Sequence[Point]) -> None:
        self._points = points
        self._lookup = Lookup(self._space, [self._space.params(point) for point in points])

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> Point:
        from nni import NoMoreTrialError
        from syne_tune.backend.trial_status import Trial

        config = self.scheduler.suggest().config
        params = {one.name: _from_domain(one, config[one.name]) for one in self._space.parameters}
        recipe = self._lookup.nearest(self._space.params(self._space.point(params)))
        if recipe is None:
            raise NoMoreTrialError("every recipe has had its trial")
        self._lookup.free[recipe] = False
        kinds = {one.name: one for one in self._space.parameters}
        played = {name: _to_domain(kinds[name], value) for name, value in self._lookup.params[recipe].items()}
        trial = Trial(parameter_id, config | played, datetime(2000, 1, 1))
        self.trials[str(parameter_id)] = trial
        self.scheduler.on_trial_add(trial)
        return self._points[recipe]

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        pass  # the scheduler heard the last epoch

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        self.trials.pop(str(parameter_id), None)


class Scheduler(Assessor):
    """The decisions of a SyneTune tuner as NNI's assessor."""

    def __init__(self, tuner: SyneTune):
        self._tuner = tuner

    def assess_trial(self, trial_job_id: str, trial_history: list[Any]) -> AssessResult:
        from syne_tune.optimizer.scheduler import SchedulerDecision

        result = {"score": extract_scalar_reward(trial_history[-1]), "epoch": len(trial_history)}
        trial = self._tuner.trials[trial_job_id]
        goes_on = self._tuner.scheduler.on_trial_result(trial, result) == SchedulerDecision.CONTINUE
        return AssessResult.Good if goes_on else AssessResult.Bad


def _domain(parameter: Any) -> Any:
    from syne_tune import config_space

    distribution = parameter.distribution
    if isinstance(distribution, CategoricalDistribution):
        options = [str(choice) for choice in distribution.choices]
        return config_space.ordinal(options) if parameter.numbers else config_space.choice(options)
    if isinstance(distribution, IntDistribution):
        return config_space.randint(distribution.low, distribution.high)
    kind = config_space.loguniform if distribution.log else config_space.uniform
    return kind(distribution.low, distribution.high)


def _to_domain(parameter: Any, value: Any) -> Any:
    return str(value) if parameter.options else value


def _from_domain(parameter: Any, value: Any) -> Any:
    if not parameter.options:
        return value
    return next(choice for choice in parameter.distribution.choices if str(choice) == value)


def _before(curves: Curves, seed: int, workers: int) -> Search:
    tuner = NearestTPE(seed=seed, default=curves.points[curves.default], tpe_args={"n_startup_jobs": 15})
    return tuner, MedianOfFinished(start_epoch=2, min_finished=5)


def _few_epochs_first(curves: Curves, seed: int, workers: int) -> Search:
    tuner = FewEpochsFirst(seed)
    return tuner, AfterFewEpochs(tuner)


def _optuna(curves: Curves, seed: int, workers: int) -> Search:
    return Study(lambda space: TPESampler(seed=seed)), None


def _optuna_hyperband(curves: Curves, seed: int, workers: int) -> Search:
    pruner = optuna.pruners.HyperbandPruner(max_resource=curves.scores.shape[1])
    # Which bracket a trial is in follows from the study's name.
    tuner = Study(lambda space: TPESampler(seed=seed), pruner, name=f"replay {seed}")
    return tuner, Pruner(tuner)


def _ours(restricted: bool = True, timed: bool = True) -> Build:
    def build(curves: Curves, seed: int, workers: int) -> Search:
        default = curves.points[curves.default]
        make = SAMPLERS["gaussian_process"]
        tuner = Study(lambda space: make(space, seed), default=default, restricted=restricted, timed=timed)
        return tuner, None

    return build


def _search(search: type[OurSearch], assessor: type[Assessor]) -> Build:
    # The tuner first: the assessor looks for it.
    return lambda curves, seed, workers: (
        search(seed=seed, default=curves.points[curves.default]),
        assessor(),
    )


def _syne_tune(name: str) -> Callable[[Curves, int, int], Search]:
    def build(curves: Curves, seed: int, workers: int) -> Search:
        from syne_tune.optimizer import baselines

        epochs = curves.scores.shape[1]
        np.random.seed(seed)  # its schedulers draw brackets from here
        tuner = SyneTune(
            lambda space: getattr(baselines, name)(
                space, metric="score", time_attr="epoch", max_t=epochs, grace_period=max(1, epochs // 4),
                do_minimize=False, random_seed=seed,
            )
        )  # fmt: skip
        return tuner, Scheduler(tuner)

    return build


RIVALS: dict[str, Build] = {
    "random": lambda curves, seed, workers: (RandomOrder(seed), None),
    "two epochs, then best 16": _few_epochs_first,
    "NNI's TPE, median of finished": _before,
    "Optuna TPE": _optuna,
    "Optuna TPE, Hyperband": _optuna_hyperband,
    "Syne Tune ASHA": _syne_tune("ASHA"),
    "Syne Tune ASHABORE": _syne_tune("ASHABORE"),
    "Syne Tune ASHACQR": _syne_tune("ASHACQR"),
    "Syne Tune BOHB": _syne_tune("BOHB"),
}
OURS: dict[str, Build] = {
    "Gaussian process": _ours(),
    "Gaussian process, nearest": _ours(restricted=False),
    "Gaussian process, cannot win": _search(RecordedSearch, CannotWin),
    "Gaussian process, pauses": _search(RecordedSearch, PauseAndGoOn),
    "Gaussian process, pauses, nearest": _search(NearestSearch, PauseAndGoOn),
    "Gaussian process, costs ignored": _ours(timed=False),
}
METHODS = RIVALS | OURS
