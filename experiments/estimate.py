"""Estimate the remaining time of a search, from the trials so far and the recipes that the space offers.

The mean duration of the ended trials is too low, because the cheapest trials end first. So each trial that
has trained an epoch counts with its whole expected length, and the cost of a recipe that has not begun is
predicted from its image size and network: log(seconds per epoch) is a ridge regression on log(pixels) and the
network.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product, repeat
from typing import Any

import numpy as np

from common.errors import errors_of
from experiments.checks.space import normal_middle
from trial.catalogue import model_fields
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig, parse

FIELDS = ("model", "image_size", "epochs", "train_fraction", "fold", "folds")  # that decide the cost
# Prior standard deviations, in logarithms: of a network's factor, of the exponent of the pixels (mean 1), and
# of the noise.
NETWORK, EXPONENT, NOISE = 1.0, 0.5, 0.2
STOPPED = 0.6  # fraction of its epochs that a trial runs if there is an assessor, before any has ended
LATEST = 4  # trials that show how tuner and assessor behave now
SPACE = 4  # number of ended trials at which the latest trials weigh as much as the space
FEW = 3  # with fewer ended trials an estimate is rough


@dataclass(frozen=True)
class Workload:
    """What decides the cost of a trial. An epoch takes time proportional to `load`: the fraction of the
    training groups, times the number of folds."""

    model: str
    pixels: int
    epochs: int
    load: float = 1.0


@dataclass(frozen=True)
class Trial:
    """A trial that has begun. `age`: seconds from its start until now, or until its end; `seconds`: duration
    of its `epochs_done` epochs; `paused`: it has ended for now."""

    workload: Workload
    ended: bool
    age: float
    seconds: float
    epochs_done: int
    paused: bool = False


def workload_of(config: TrialConfig) -> Workload:
    height, width = config.image_size
    load = config.train_fraction * len(config.fold_numbers)
    return Workload(config.model, height * width, config.epochs, load)


def workloads_in(space: Mapping[str, Any], fixed: Iterable[str]) -> list[Workload]:
    """Those of the recipes that a search space offers, all equally probable."""
    try:
        given = parse_arguments(fixed)
    except Exception:
        return []
    options = [_options(space, given, name) for name in FIELDS]
    found = []
    for values in product(*options):
        asked = {name: value for option in values for name, value in option.items()}
        if not errors_of(parse, asked, False):
            found.append(workload_of(parse(asked, False)))
    return found


@dataclass(frozen=True)
class Forecast:
    """What the remaining time depends on, besides the trials.

    `workloads`: what the space offers; `at_a_time`: trialConcurrency; `limit`: maxExperimentDuration in
    seconds, after which NNI starts no trial but lets the running ones finish; `assessed`: whether an assessor
    stops many trials.
    """

    workloads: Sequence[Workload] = ()
    at_a_time: int = 1
    limit: float | None = None
    assessed: bool = False

    def seconds_left(self, trials: Sequence[Trial], left: int | None, elapsed: float) -> float | None:
        """Seconds until the last trial ends; None while no trial has trained an epoch.

        `left`: the number of trials that have not begun (None: only the limit ends the search).
        """
        if left is None and self.limit is None:
            return None
        known = [trial for trial in trials if trial.epochs_done]
        if not known:
            return None if self.limit is None else max(self.limit - elapsed, 0.0)
        cost = _Cost(known, self.assessed)
        # A first epoch that takes longer than expected is a measurement, too: it will take at least its age.
        late = [t for t in trials if not (t.ended or t.epochs_done) and t.age > cost.first_epoch(t.workload)]
        if late:
            cost = _Cost(
                [*known, *(replace(trial, seconds=trial.age, epochs_done=1) for trial in late)], self.assessed
            )
        ends = [max(cost.of(trial) - trial.age, 0.0) for trial in trials if not trial.ended]
        ends += [0.0] * (self.at_a_time - len(ends))
        heapq.heapify(ends)
        rest = math.inf if self.limit is None else self.limit - elapsed
        # A tuner comes to prefer some recipes: the more trials have ended, the more the latest ones count.
        chosen = [trial.workload for trial in trials[-LATEST:]]
        sure = sum(trial.ended for trial in trials) / (SPACE + sum(trial.ended for trial in trials))
        each = max((1 - sure) * cost.mean(self.workloads or chosen) + sure * cost.mean(chosen), 1.0)
        for _ in range(left) if left is not None else repeat(None):
            if ends[0] > rest:
                break
            heapq.heapreplace(ends, ends[0] + each)
        return max(ends)


def mean_seconds(measured: Trial, workloads: Sequence[Workload]) -> float:
    """The mean duration of whole trainings of these `workloads`, by one training that was measured."""
    return _Cost([measured], assessed=False).mean(workloads or [measured.workload])


def is_rough(trials: Iterable[Trial]) -> bool:
    return sum(trial.ended and trial.epochs_done > 0 for trial in trials) < FEW


@dataclass
class _Cost:
    """Predicts the duration of trials from those that have trained an epoch."""

    known: Sequence[Trial]
    assessed: bool
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = sorted({trial.workload.model for trial in self.known})
        rows = np.array([self._features(trial.workload) for trial in self.known])
        # Trials with more epochs are measured more precisely.
        weights = np.array([min(trial.epochs_done, 4) / 4 for trial in self.known]) / NOISE**2
        measured = np.log([max(t.seconds / t.epochs_done, 1e-3) / t.workload.load for t in self.known])
        prior = np.array([1e-6, EXPONENT**-2, *[NETWORK**-2] * len(self.names)])
        middle = np.array([0.0, 1.0, *[0.0] * len(self.names)])  # of the prior
        precision = rows.T @ (weights[:, None] * rows) + np.diag(prior)
        self.solved = np.linalg.solve(precision, rows.T @ (weights * measured) + prior * middle)
        ended = [trial for trial in self.known if trial.ended]
        starts = [max(trial.age - trial.seconds, 0.0) for trial in ended]
        self.start = float(np.mean(starts)) if starts else 0.0
        # The fraction of its epochs that a trial runs: some are stopped early.
        whole = [trial for trial in ended if not trial.paused]
        parts = [trial.epochs_done / trial.workload.epochs for trial in whole[-LATEST:]]
        usual = STOPPED if self.assessed else 1.0
        self.part = (2 * usual + sum(parts)) / (2 + len(parts))

    def of(self, trial: Trial) -> float:
        """The whole duration of a running trial, in seconds."""
        if not trial.epochs_done:
            return self._expected(trial.workload)
        return self.start + trial.seconds / trial.epochs_done * trial.workload.epochs

    def mean(self, workloads: Sequence[Workload]) -> float:
        """The mean duration of trials that have not begun, in seconds."""
        return sum(map(self._expected, workloads)) / len(workloads)

    def first_epoch(self, workload: Workload) -> float:
        """Seconds from a trial's start to the end of its first epoch."""
        return self.start + self._epoch(workload)

    def _expected(self, workload: Workload) -> float:
        return self.start + self._epoch(workload) * workload.epochs * self.part

    def _epoch(self, workload: Workload) -> float:
        return math.exp(float(np.dot(self._features(workload), self.solved))) * workload.load

    def _features(self, workload: Workload) -> list[float]:
        return [1.0, math.log(workload.pixels), *(float(workload.model == name) for name in self.names)]


def _options(space: Mapping[str, Any], given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The values of a field in the space, or else in the command, each as {field: value}; [{}] if it has its
    default. An option that carries other FIELDS adds theirs."""
    spec = space.get(name)
    if spec is None:
        return [{name: given[name]}] if name in given else [{}]
    values = spec["_value"]
    if spec["_type"] != "choice":
        normal = "normal" in spec["_type"]
        middle = normal_middle(spec["_type"], values) if normal else sum(values[:2]) / 2
        return [{name: middle if name == "train_fraction" else round(middle)}]
    found: list[dict[str, Any]] = []
    for value in values:
        fields = model_fields(value) if name == "model" else {name: value}
        carried = [_options(fields, {}, other) for other in FIELDS if other in fields and other != name]
        for inner in product(*carried):
            found.append({name: fields[name]} | {k: v for option in inner for k, v in option.items()})
    return found
