"""What fits into a given time: how many trials, how long, and what retraining the best recipe needs.

It is planned from a pilot of the default recipe, whose cost of an epoch estimate.py carries over to the other
recipes of the space. The tuner (`hours`) begins nothing that it predicts to end far too late, and prefers by
expected improvement over predicted seconds; what is still at work at the end of the time is stopped.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common.errors import UsageError
from dataset.read import read_eval, read_train
from experiments.check import recipe_errors
from experiments.checks.algorithms import takes_hours
from experiments.checks.walltime import queue_of, too_short
from experiments.estimate import Trial, Workload, mean_seconds, workload_of, workloads_in
from experiments.hours.pilot import Pilot, fly
from experiments.interrupts import Interrupts
from experiments.plan import Plan
from experiments.progress import clock
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig, parse

ENOUGH = 12  # whole trainings; if fewer fit, they are shortened
SHORTEST, FRACTION = 3, 3  # epochs, and the part of the YAML's epochs, below which none is shortened
START, STOP = 6.0, 8.0  # seconds that NNI takes before the first trial, and after the last one
BEGIN = 1.5  # seconds of a trial outside its epochs
FORWARD = 1 / 3  # cost of a photo that is only predicted, of one that is trained
REPORT = 8.0  # seconds of the report, besides the start of the training, which the pilot measures
BUDGET = "budget.json"


@dataclass(frozen=True)
class Budget:
    """The plan of a search in `hours`; all other times are in seconds.

    `pilot`: what the pilot took; `epoch`: of the default recipe; `training`: the mean of the space, with
    `epochs` instead of the `asked_epochs` of the YAML; `trials`: how many fit; `retraining`: what is kept for
    it; `search`: from NNI's start to its end."""

    hours: float
    pilot: float
    epoch: float
    training: float
    epochs: int
    asked_epochs: int
    trials: int
    retraining: float
    search: float

    def to_json(self) -> dict[str, Any]:
        return {key: round(value, 3) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Data:
    """Photos of the set: to train on, and to predict. `seconds`: that a retraining takes outside its epochs,
    for checking and reading the photos, start and report."""

    train: int
    eval: int
    seconds: float


def planned(
    plan: Plan,
    hours: float,
    began: float,
    with_retrain: bool,
    trials: int | None = None,
    may_shorten: bool = True,
) -> tuple[Plan, Budget, Data]:
    """(The plan that fits into `hours` from `began` (time.monotonic()) on, its budget, the size of the data).
    UsageError if not even one training fits. `trials`: the largest number; `may_shorten`: whether trainings
    may have fewer epochs than the plan says."""
    data = _data(plan, began)
    plan.runs.mkdir(parents=True, exist_ok=True)
    with Interrupts() as interrupts:
        pilot = fly(plan, plan.first, hours * 3600, interrupts)
    queue = queue_of(plan)
    if queue and (errors := too_short(queue, pilot.epoch, "in the pilot of the default recipe")):
        raise UsageError(errors)
    data = replace(data, seconds=data.seconds + pilot.start + REPORT)
    spent = time.monotonic() - began
    return *fitted(plan, pilot, data, hours, spent, with_retrain, trials, may_shorten), data


def fitted(
    plan: Plan,
    pilot: Pilot,
    data: Data,
    hours: float,
    spent: float,
    with_retrain: bool,
    trials: int | None,
    may_shorten: bool = True,
) -> tuple[Plan, Budget]:
    """As `planned`, from a pilot that has been flown; `spent`: seconds so far."""
    config, at_a_time = pilot.config, int(plan.config["trialConcurrency"])
    workloads = workloads_in(plan.space, plan.fixed) or [workload_of(config)]
    whole = _training(pilot, workloads)

    def left(epochs: int) -> tuple[float, float]:
        """(Seconds for retraining, for the search), with trainings of `epochs` epochs."""
        kept = 0.0
        if with_retrain:  # the best recipe is not known yet: the mean of the space
            epoch = (whole - BEGIN) / config.epochs
            kept = epoch * (epochs * all_photos(config) + predicted(config, data)) + data.seconds
        return kept, hours * 3600 - spent - STOP - kept

    def training(epochs: int) -> float:
        return BEGIN + (whole - BEGIN) * epochs / config.epochs

    def fits(epochs: int) -> float:
        return at_a_time * max(left(epochs)[1] - START, 0.0) / training(epochs)

    epochs = config.epochs
    if fits(epochs) < ENOUGH and may_shorten and not _searched(plan, "epochs"):
        for epochs in range(
            min(max(SHORTEST, math.ceil(config.epochs / FRACTION)), config.epochs), config.epochs
        ):
            # Towards the fewest epochs, but no fewer than ENOUGH trainings ask for.
            if fits(epochs + 1) < ENOUGH and not recipe_errors(
                plan.with_settings([f"epochs={epochs}"]), False
            ):
                break
        else:
            epochs = config.epochs
    if fits(epochs) < at_a_time:
        kept = left(epochs)[0]
        least = spent + STOP + START + kept + training(epochs)
        parts = f"check and pilot took {clock(spent)}, NNI's start and end take {clock(START + STOP)}"
        if kept:
            parts += f", retraining {clock(kept)}"
        raise UsageError(
            f"--hours {hours:g}: not even one training fits: of {epochs} epochs it takes "
            f"{clock(training(epochs))} on average ({pilot.epoch:.1f} s an epoch of the default recipe); "
            f"{parts}; give --hours {math.ceil(least / 36) / 100:g} or more, or a cheaper recipe by --set"
        )
    if epochs < config.epochs:
        plan = plan.with_settings([f"epochs={epochs}"])
    kept, search = left(epochs)
    number = math.floor(fits(epochs))
    budget = Budget(
        hours, pilot.seconds, pilot.epoch, training(epochs), epochs, config.epochs, number, kept, search
    )
    plan = plan.with_trials(trials)
    # The recipe that will be best may take far less to retrain than the mean: within.py ends the search when
    # the best one so far needs the rest.
    search += kept - (data.seconds if kept else 0.0)
    if takes_hours(plan.config["tuner"], plan.path.parent):
        plan = plan.with_tuner(hours=round((search - START) / 3600, 5))
    return replace(plan, config=plan.config | {"maxExperimentDuration": f"{math.ceil(search)}s"}), budget


def words(budget: Budget, trials: int | None, at_a_time: int) -> list[str]:
    """The plan in two lines."""
    asked = budget.asked_epochs
    shorter = f" (with the YAML's {asked} fewer than {ENOUGH} would fit)" if budget.epochs < asked else ""
    number = f"about {budget.trials} trials" if trials is None else f"{trials} trials at most"
    lines = [
        f"--hours {budget.hours:g}: the pilot of the default recipe took {clock(budget.pilot)}, "
        f"{budget.epoch:.1f} s an epoch with {at_a_time} at a time",
        f"planned: {number} of {budget.epochs} epochs{shorter}, {clock(budget.training)} each on "
        f"average, in the next {clock(budget.search)}",
    ]
    if budget.retraining:
        lines[1] += f"; {clock(budget.retraining)} are kept for retraining"
    return lines


def photos_to_predict(data: Path, group: str = "") -> int:
    try:
        return len(read_eval(data, group))
    except UsageError:
        return 0


def _data(plan: Plan, began: float) -> Data:
    checked = time.monotonic() - began  # the check of a plan decodes every photo, as retraining does
    folder = plan.code / plan.data
    group = str(parse_arguments(plan.fixed).get("group", ""))
    return Data(len(read_train(folder, group=group).table), photos_to_predict(folder, group), checked)


def _training(pilot: Pilot, workloads: Iterable[Workload]) -> float:
    """The mean seconds of a whole training over the space, with as many at a time as in the search."""
    measured = Trial(workload_of(pilot.config), False, pilot.epoch, pilot.epoch, 1)
    return BEGIN + mean_seconds(measured, list(workloads))


def all_photos(config: TrialConfig) -> float:
    """The cost of an epoch on all photos, over that of an epoch of the trial, which also validates."""
    trained = (config.folds - 1) / config.folds * config.train_fraction
    return 1 / (len(config.fold_numbers) * (trained + FORWARD / config.folds))


def predicted(config: TrialConfig, data: Data) -> float:
    """The cost of predicting the photos without answers, in epochs of the trial. They are decoded first,
    which may cost as much as training on them."""
    return data.eval / max(data.train, 1) * all_photos(config)


def _searched(plan: Plan, name: str) -> bool:
    """Whether the field is in the space, or carried by one of its options."""
    try:
        first = parse(parse_arguments(plan.fixed, plan.first), False)
        other = plan.with_settings([f"{name}={getattr(first, name)}"])
    except UsageError:
        return True
    return other.space != plan.space
