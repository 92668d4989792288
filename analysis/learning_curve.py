"""What a recipe promises once it is trained on all groups: its trial's promise, and what the score gains by
more groups, which a training on fewer of the trial's groups measures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.confirm import train
from analysis.recipes import Recipe
from analysis.trust.answers import counts_of, read_answers
from analysis.trust.bootstrap import observed
from analysis.trust.growth import gain, grown
from analysis.trust.leaders import promise_facts
from common.errors import UsageError
from common.log import output_of
from dataset.split import fraction_of, split
from dataset.task import Task
from trial.config import PLACES, TrialConfig, parse
from trial.run_folder.record import RunFolder
from trial.run_folder.resume import is_finished, other_data

output = output_of(__name__)

OPTION = "--learning-curve"
FOLDER = "learning_curve"  # of the smaller training, in the folder of the submission
# Of the trial's groups. The first is taken whose step is long enough: of a few groups nearly all are kept, as
# each class keeps one.
FRACTIONS = (0.8, 0.7, 0.6, 0.5)
MAX_POWER = 1.5  # by how much longer the step to all groups may be than the one that is measured
MIN_FRACTION = 0.45  # of all groups that the trial was trained on, to say something about all of them


@dataclass(frozen=True)
class Curve:
    """A promise that can be measured. `config`: of the training on fewer groups than `recipe`'s trial had.
    `groups`: the numbers of groups of that training, the trial's (with fold=all, means over the networks) and
    all, which are `called` so. `promise`: the trial's."""

    recipe: Recipe
    config: TrialConfig
    groups: tuple[float, float, float]
    called: str
    promise: Mapping[str, Any]

    @property
    def power(self) -> float:
        """As `gain` takes it."""
        smaller, trial, everyone = self.groups
        return math.log(everyone / trial) / math.log(trial / smaller)

    def measured(self, folder: Path) -> Recipe:
        """Train on fewer groups in `folder`, unless that is done there: the recipe, with the promise for all
        groups. A training that was stopped goes on."""
        trial, metric = self.recipe.folder, self.config.metric
        assert trial is not None
        config = replace(self.config, out=str(folder))
        smaller, known, _ = (f"{number:,.0f}" for number in self.groups)
        if not is_finished(folder, config):
            seconds = (RunFolder(trial).status().get("seconds") or 0) * self.groups[0] / self.groups[1]
            output.info(
                f"learning curve: the recipe is trained on {smaller} of its trial's {known} {self.called}, "
                f"about {seconds:,.0f} s"
            )
            train(config, folder, f"on {smaller} {self.called}")
        counts = counts_of([read_answers(one) for one in (trial, folder)])
        scores = observed(counts, metric)
        curve = {
            "trained_on": dict(zip(("smaller", "trial", "all"), map(round, self.groups), strict=True)),
            "scores": {"smaller": round(float(scores[1]), 4), "trial": round(float(scores[0]), 4)},
        }
        promise = grown(self.promise, gain(counts, metric, self.power), metric, curve)
        return replace(self.recipe, origin=self.recipe.origin | {"promise": promise})


def curve_of_recipe(recipe: Recipe, config: TrialConfig, task: Task, table: pd.DataFrame) -> Curve:
    """How the promise of `recipe`, retrained by `config` on all groups of `table` (the photos of the task to
    train on, as `read_train` gives them), can be measured. UsageError if it can't."""
    trial = recipe.folder
    if trial is None or not recipe.scores:
        raise UsageError(
            f"{OPTION}: needs the run folder of the recipe's trial, with its validation answers; give the "
            "config.json of that run, or the experiment"
        )
    if recipe.unfinished:
        raise UsageError(f"{OPTION}: {trial} has not finished, so nothing can be compared with it")
    if changed := recipe.unpromised(config, task.classes):
        raise UsageError(f"{OPTION}: there is no promise to begin with: {changed}")
    run = RunFolder(trial)
    own = run.config()
    if other := other_data(run, own.recipe(), config.data):
        raise UsageError(f"{OPTION}: {trial} {other}")
    promise = recipe.origin.get("promise") or promise_facts(trial, config.metric).get("promise")
    if not promise:
        raise UsageError(f"{OPTION}: {trial} promises nothing; its curve or validation answers are missing")
    places = {name: getattr(config, name) for name in PLACES}
    known, every = _trained_on(table, own), table["group"].nunique()
    for fraction in (min(FRACTIONS[0], known / every), *FRACTIONS[1:]):
        part = max(0.001, round(fraction * own.train_fraction, 4))
        smaller = parse({**own.recipe(), **places, "train_fraction": part})
        fewer = _trained_on(table, smaller)
        found = Curve(recipe, smaller, (fewer, known, every), task.groups, promise)
        if fewer < known and found.power <= MAX_POWER and known >= MIN_FRACTION * every:
            return found
    raise UsageError(
        f"{OPTION}: the {known:,.0f} {task.groups} that the trial was trained on are too few to say what "
        f"{every:,} will gain"
    )


def _trained_on(table: pd.DataFrame, config: TrialConfig) -> float:
    """On how many groups a network of this trial is trained, the mean over its folds."""
    parts = (split(table, fold, config.folds, config.seed)[0] for fold in config.fold_numbers)
    used = [fraction_of(part, config.train_fraction, config.seed)["group"].nunique() for part in parts]
    return float(np.mean(used))
