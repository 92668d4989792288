"""Recipes that are ready to be retrained: all that can be refused was, before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.learning_curve import Curve, curve_of_recipe
from analysis.predict import finishing
from analysis.predict.choosing import refuse, with_views
from analysis.predict.finishing import Finish, FinishPlan, plan_finish
from analysis.predict.trained import other_classes
from analysis.predict.validation import known_answers, shared_vote
from analysis.recipes import Recipe, labels_of
from common.errors import UsageError, all_at_once, errors_of
from common.log import output_of
from dataset.check import check
from dataset.fingerprint import fingerprint
from dataset.read import read_eval, read_train
from dataset.task import Task
from trial.config import TrialConfig, refuse_together
from trial.recipe import task_errors
from trial.run_folder.record import RunFolder

output = output_of(__name__)


class Training(NamedTuple):
    """`config`: the recipe's, with what the caller changes. `stop_after`: the epoch after which it ends, None
    for the last."""

    recipe: Recipe
    config: TrialConfig
    stop_after: int | None

    def trial(self, task: Task) -> Path | None:
        """The run that the recipe is of, if its validation answers hold for the training on photos of this
        `task`: not of a changed recipe, nor of other classes."""
        folder = None if self.recipe.unpromised(self.config, task.classes) else self.recipe.folder
        return folder if folder and RunFolder(folder).task().classes == task.classes else None


@dataclass(frozen=True, eq=False)
class Ready:
    """`photos`: those of `data` to predict. `curve`: by which the promise of the first recipe can be
    measured, None if that was not asked for."""

    trainings: tuple[Training, ...]
    data: Path
    task: Task
    photos: pd.DataFrame
    curve: Curve | None

    @property
    def configs(self) -> list[TrialConfig]:
        return [config for _, config, _ in self.trainings]

    def plan(self, finish: Finish, tta: str) -> tuple[str, FinishPlan]:
        """(The views that the networks predict, what is done with their predictions), by the validation
        answers of the trials that the recipes are of; printed. `tta`: a name in VIEWS, or AUTO."""
        validated = [self._validated(training) for training in self.trainings]
        voted = shared_vote(validated) if len(validated) > 1 else validated[0]
        config, trials = self.configs[0], [recipe.folder for recipe, _, _ in self.trainings]
        planned = plan_finish(
            finish, self.data, self.photos, voted, self.task, config.metric, config.corrections, config.group
        )
        return with_views(tta, planned, trials, validated, self.data, config.metric)

    def _validated(self, training: Training) -> pd.DataFrame | None:
        trial = training.trial(self.task)
        return known_answers(trial) if trial else None

    def measured(self, folder: Path) -> "Ready":
        """The same, with the promise of the first recipe by its learning curve, if there is one: trained in
        `folder`."""
        if self.curve is None:
            return self
        first, *others = self.trainings
        return replace(self, trainings=(first._replace(recipe=self.curve.measured(folder)), *others))

    def print_promised(self) -> bool:
        """Print that nothing is promised of recipes that are changed, or were validated on other classes,
        else a note on those that were validated on other photos. Return whether anything is promised."""
        words = [recipe.unpromised(config, self.task.classes) for recipe, config, _ in self.trainings]
        found = dict.fromkeys(filter(None, words))
        for why in found:
            output.info(f"no promise: {why}")
        # Scores of the same classes stand: a copy, or a set that has grown, has another fingerprint.
        seen = {recipe.origin.get("data_fingerprint") for recipe, _, _ in self.trainings if recipe.scores}
        if not found and seen - {None, fingerprint(self.data)}:
            output.info(
                f"note: validated on other photos than those in {self.data} (or these have changed since)"
            )
        return not found

    def what(self, average: int) -> dict[str, Any]:
        """What is trained: if the command is killed, the same command uses the networks that it has
        trained."""
        recipes = [config.recipe() | {"stop_after": stop} for _, config, stop in self.trainings]
        labels = [labels_of(config) for config in self.configs]
        return {"recipes": recipes, "average": average, "data": fingerprint(self.data), "labels": labels}


def make_ready(
    recipes: Sequence[Recipe], values: Mapping[str, Any], data: Path, tta: str, finish: Finish, gpus: int,
    learning_curve: bool = False,
) -> Ready:  # fmt: skip
    """Check recipes, with the changes `values`, and the set `data`, whose photos are decoded. UsageError with
    every error of recipes, photos and labels, and for what a recipe wants that the set's task or this machine
    with its `gpus` lacks."""
    given = [{**recipe.recipe, **values} for recipe in recipes]
    wanted = [(_text(one, "corrections"), _text(one, "group")) for one in given]
    (corrections, group), *_ = wanted
    _, _, configs, photos, checked = all_at_once(
        lambda: refuse(tta),
        lambda: finishing.refuse(finish),
        lambda: [recipe.config({**values, "data": str(data)}) for recipe in recipes],
        lambda: read_eval(data, group),
        lambda: check(data, corrections, progress=True, group=group),
    )
    tasks = {wanted[0]: checked.task}
    for other in wanted[1:]:
        if other not in tasks:
            tasks[other] = read_train(data, *other).task
    for (_, by), task in tasks.items():
        if words := other_classes(task, checked.task):
            raise UsageError(
                f"{data}: by group={by} it has {words} than by group={group}; "
                "only recipes of the same classes can vote"
            )
    found = [
        error
        for config, own in zip(configs, wanted, strict=True)
        for error in [
            *task_errors(config, tasks[own]),
            # One network is trained at a time, whatever the recipe's folds.
            *errors_of(refuse_together, replace(config, fold=0), gpus),
        ]
    ]
    if found:
        raise UsageError(dict.fromkeys(found))
    stops = [recipe.stop_with(values) for recipe in recipes]
    trainings = tuple(map(Training, recipes, configs, stops))
    curve = curve_of_recipe(recipes[0], configs[0], checked.task, checked.train) if learning_curve else None
    return Ready(trainings, data, checked.task, photos, curve)


def _text(recipe: Mapping[str, Any], name: str) -> str:
    """The recipe's value of a field of text, '' if it is none: parsing the recipe says that it is wrong."""
    value = recipe.get(name)
    return value if isinstance(value, str) else ""
