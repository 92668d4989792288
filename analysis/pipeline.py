"""The steps after an experiment: export the best recipes, retrain them on all groups, predict, submit; and
all of it again, from a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis import bundle
from analysis.bundle import BUNDLE
from analysis.confirm import Budget, confirm
from analysis.learning_curve import FOLDER, Curve, curve_of_recipe
from analysis.predict import finishing, vote
from analysis.predict.choosing import refuse, with_views
from analysis.predict.finishing import Finish, FinishPlan, known_answers, plan_finish, shared_vote
from analysis.predict.trained import other_classes, predict
from analysis.recipes import Recipe, labels_of, recipe_of
from analysis.report.experiment import write_experiment_report
from analysis.retrain import retrain, retrain_on_gpus
from analysis.submission import CSV, SUBMISSION, is_left_of, refuse_existing, refuse_overwriting, writing
from analysis.submit import (
    REPORT,
    about_run,
    about_vote,
    lowered,
    print_unpromised,
    reporting,
    submit,
    submit_run,
)
from analysis.trials.printing import trust_words, write_trials
from analysis.trials.ranking import Ranking, rank
from analysis.trials.table import Experiment, trial_table
from analysis.trials.unfinished import recipe_words
from common.errors import UsageError, all_at_once, errors_of
from common.files import only_writer_of_out
from common.log import output_of
from dataset.check import check
from dataset.fingerprint import fingerprint
from dataset.read import read_eval, read_train
from dataset.task import Task
from trial.config import PLACES, TrialConfig, refuse_together
from trial.recipe import task_errors
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import RunFolder, refuse_run

output = output_of(__name__)

TRIALS = "trials.csv"


@dataclass(frozen=True)
class _Making:
    """How networks are trained, and what is done with their predictions. `again`: after a try that was
    killed."""

    average: int
    tta: str
    planned: FinishPlan
    gpus: int
    again: bool


@only_writer_of_out
def export_best(
    experiment: Experiment, out: Path, top: int = 1, model: str | None = None, hours: float | None = None
) -> list[Recipe]:
    """Write the `top` best recipes as OUT/1.json ..., best first. `hours`: of training before, to confirm the
    leaders (analysis/confirm.py). UsageError if one of these files exists."""
    names = [f"{number}.json" for number in range(1, top + 1)]
    _refuse_both(hours, model)
    refuse_existing(out, *names, BUNDLE)
    ranking = rank(trial_table(experiment))
    rows = ranking.best(top, model)
    if hours is not None:
        ranking = _confirmed(experiment, ranking, hours)
        rows = ranking.best(top)
    recipes = _recipes(experiment, ranking, rows)
    with writing(out, [*names, BUNDLE]):
        for recipe, name in zip(recipes, names, strict=True):
            output.info(recipe.write(out / name))
        output.info(bundle.write_bundle(out, bundle.of_trials(recipes)))
    _print_trust(ranking, rows)
    return recipes


def _refuse_both(hours: float | None, model: str | None) -> None:
    if hours is not None and model is not None:
        raise UsageError("--confirm-hours compares the leaders of all networks; leave out --model")


def _confirmed(
    experiment: Experiment, ranking: Ranking, hours: float, data: Path | None = None,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> Ranking:  # fmt: skip
    """The ranking once its leaders are confirmed, where the changes `values` say."""
    places = {name: value for name, value in values.items() if name in PLACES}
    confirm(ranking, Budget(hours=hours), data=data, places=places)
    return rank(trial_table(experiment))


def _recipes(experiment: Experiment, ranking: Ranking, rows: pd.DataFrame) -> list[Recipe]:
    """The recipes of these rows of the ranking; that of its first one has the search's promise."""
    recipes = [recipe_of(row, experiment.id) for _, row in rows.iterrows()]
    if _is_first(ranking, rows) and (promise := ranking.leaders.facts().get("promise")):
        recipes[0] = replace(recipes[0], origin=recipes[0].origin | {"promise": promise})
    return recipes


def _is_first(ranking: Ranking, rows: pd.DataFrame) -> bool:
    """Whether the first of the chosen trials is the best of all: a network may have been asked for."""
    return bool(rows.iloc[0]["trial"] == ranking.ranked.iloc[0]["trial"])


def _print_trust(ranking: Ranking, rows: pd.DataFrame) -> None:
    for words in trust_words(ranking) if _is_first(ranking, rows) else ():
        output.info(words)


@only_writer_of_out
def retrain_and_submit(
    recipe: Recipe, data: Path, out: Path, values: Mapping[str, Any], average: int = 1, tta: str = "none",
    finish: Finish = Finish(), gpus: int = 1, learning_curve: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
    """Train `recipe` (with the changes `values`) on all groups of `data` into the run folder `out`, and write
    its submission there. `tta`: a name in VIEWS, or AUTO. Return (probabilities (photos, classes), the
    content of submission.json).

    `finish`: the decision is fitted to the validation answers of the run that the recipe is of. `gpus`: that
    train the network together. `learning_curve`: measure what training on all groups gains, for the promise
    (analysis/learning_curve.py).

    UsageError, before anything is trained, if the recipe or the data have errors. The recipe of an
    unfinished run is accepted, since any recipe can be trained; this is printed and recorded.
    """
    refuse_overwriting(out, REPORT, BUNDLE)
    (config,), photos, task = _ready([recipe], values, data, tta, finish, gpus)
    curve = curve_of_recipe(recipe, config) if learning_curve else None
    validated = _validated(recipe, config, task)
    planned = plan_finish(finish, data, photos, validated, task, *_read_by(config))
    tta, planned = with_views(tta, planned, [recipe.folder], [validated], data, config.metric)
    if not print_unpromised([recipe], [config], task.classes):
        _note_other_photos([recipe], data)
    if recipe.unfinished:
        output.info(recipe_words(recipe.unfinished, recipe.stop_with(values)))
    stop_after = recipe.stop_with(values)
    what = _what([config], [stop_after], average, data)
    _refuse_run(out, what)
    with writing(out, _files(), what, [FOLDER] if curve else []) as again:
        if curve:
            recipe = curve.measured(out / FOLDER)
        making = _Making(average, tta, planned, gpus, again)
        probabilities, about = _retrain_checked(recipe, config, photos, out, stop_after, making)
        bundle.write_bundle(out, bundle.of_runs([out], data, tta, average, out, planned))
    return planned.apply(probabilities), about


def _read_by(config: TrialConfig) -> tuple[str, str, str]:
    """What `plan_finish` needs of a recipe: how it is scored, and how its data are read."""
    return config.metric, config.corrections, config.group


def _files(folders: Sequence[str] = ()) -> list[str]:
    """The names of a submission's files in its folder, and in the `folders` of its retrained networks."""
    names = [*SUBMISSION, REPORT]
    return [*names, BUNDLE, *(f"{folder}/{name}" for folder in folders for name in names)]


def _what(
    configs: Sequence[TrialConfig], stops: Sequence[int | None], average: int, data: Path
) -> dict[str, Any]:
    """What a command trains: if it is killed, the same command uses the networks that it has trained."""
    recipes = [config.recipe() | {"stop_after": stop} for config, stop in zip(configs, stops, strict=True)]
    labels = [labels_of(config) for config in configs]
    return {"recipes": recipes, "average": average, "data": fingerprint(data), "labels": labels}


def _refuse_run(out: Path, what: Mapping[str, Any]) -> None:
    """UsageError if `out` holds a run that can't be gone on with."""
    if not is_left_of(out, what) and not (out / CHECKPOINT).is_file():
        refuse_run(out)


def _validated(recipe: Recipe, config: TrialConfig, task: Task) -> pd.DataFrame | None:
    """The validation answers of the run that a recipe is of; None if there are none, or they are of another
    recipe than `config` or of other classes."""
    folder = None if recipe.unpromised(config, task.classes) else recipe.folder
    return known_answers(folder) if folder and RunFolder(folder).task().classes == task.classes else None


def _ready(
    recipes: Sequence[Recipe], values: Mapping[str, Any], data: Path, tta: str, finish: Finish, gpus: int
) -> tuple[list[TrialConfig], pd.DataFrame, Task]:
    """(The config of each recipe with the changes `values`, the photos of `data` to predict, the task).
    UsageError with every error of recipes, photos and labels, and for what a recipe wants that the set's task
    or this machine with its `gpus` lacks."""
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
    return configs, photos, checked.task


def _note_other_photos(recipes: Sequence[Recipe], data: Path) -> None:
    """Print it if recipes have scores on other photos: of the same classes they stand, as a copy or a set
    that has grown has another fingerprint."""
    validated_on = {recipe.origin.get("data_fingerprint") for recipe in recipes if recipe.scores} - {None}
    if validated_on - {fingerprint(data)}:
        output.info(f"note: validated on other photos than those in {data} (or these have changed since)")


def _text(recipe: Mapping[str, Any], name: str) -> str:
    """The recipe's value of a field of text, '' if it is none: parsing the recipe says that it is wrong."""
    value = recipe.get(name)
    return value if isinstance(value, str) else ""


def _retrain_checked(
    recipe: Recipe, config: TrialConfig, photos: pd.DataFrame, out: Path, stop_after: int | None,
    making: _Making, is_member: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
    """(The probabilities as predicted, the content of the submission.json of what is decided by these).
    `is_member`: of a submission in another folder, which has the table of its classes and the bundle."""
    train = retrain if making.gpus == 1 else partial(retrain_on_gpus, making.gpus)
    followed = train(config, out, stop_after, making.average, making.again)
    probabilities = predict(out, photos, making.tta)
    about = about_run(out, recipe) | {"rule": followed, "tta": making.tta, **making.planned.about}
    about = lowered(about, config.metric)
    decided, alone = making.planned.apply(probabilities), not is_member
    return probabilities, submit_run(out, photos, decided, about, out, table=alone, bundled=alone)


@only_writer_of_out
def export_best_and_retrain(
    experiment: Experiment,
    data: Path,
    out: Path,
    top: int = 1,
    model: str | None = None,
    average: int = 1,
    values: Mapping[str, Any] | None = None,
    tta: str = "none",
    ranking: Ranking | None = None,
    finish: Finish = Finish(),
    hours: float | None = None,
    gpus: int = 1,
    learning_curve: bool = False,
) -> Path:
    """Export the `top` best recipes to OUT/best/1 ..., retrain each on all groups of `data`, and write
    OUT/submission.csv (their soft vote), submission.json, trials.csv and report.html. `ranking`: that of the
    experiment's trials, if the caller has it already. `hours`: of training before, to confirm the leaders;
    `gpus`: that train each network together; `learning_curve`: measure what training on all groups gains, for
    the promise of the best recipe (analysis/learning_curve.py). Return the submission's path.

    UsageError, before the first training, for everything that can be refused.
    """
    names = [f"best/{number}" for number in range(1, top + 1)]
    _refuse_both(hours, model)
    refuse_overwriting(out, TRIALS, REPORT, BUNDLE, *names)
    folders = [out / name for name in names]
    changes = values or {}
    known = ranking or rank(trial_table(experiment))

    def chosen() -> tuple[
        pd.DataFrame, list[Recipe], tuple[list[TrialConfig], pd.DataFrame, Task], Curve | None
    ]:
        rows = known.best(top, model)
        recipes = _recipes(experiment, known, rows)
        ready = _ready(recipes, changes, data, tta, finish, gpus)
        return rows, recipes, ready, curve_of_recipe(recipes[0], ready[0][0]) if learning_curve else None

    rows, recipes, (configs, photos, task), curve = chosen()
    if hours is not None:  # what can be refused was, before anything is trained
        known = _confirmed(experiment, known, hours, data, changes)
        rows, recipes, (configs, photos, task), curve = chosen()
    pairs = zip(recipes, configs, strict=True)
    validated = [_validated(recipe, config, task) for recipe, config in pairs]
    voted = shared_vote(validated)
    planned = plan_finish(finish, data, photos, voted, task, *_read_by(configs[0]))
    trials = [recipe.folder for recipe in recipes]
    tta, planned = with_views(tta, planned, trials, validated, data, configs[0].metric)
    what = _what(configs, [recipe.stop_with(changes) for recipe in recipes], average, data)
    with writing(out, [TRIALS, *_files(names)], what, [*names, *([FOLDER] if curve else [])]) as again:
        write_trials(known, out / TRIALS)
        promised = not print_unpromised(recipes, configs, task.classes) and "no_promise" not in planned.about
        if promised:
            _note_other_photos(recipes, data)
            _print_trust(known, rows)
        if curve:
            recipes[0] = curve.measured(out / FOLDER)
        making = _Making(average, tta, planned, gpus, again)
        members, abouts = _members(recipes, configs, photos, folders, changes, making)
        about = abouts[0] | {"selection": known.rule, "network": model}
        if promised and _is_first(known, rows):
            about |= known.leaders.facts()
            if curve:  # for training on all groups
                about["promise"] = recipes[0].origin["promise"]
        if top > 1:
            about = about_vote(about, abouts, planned.validated, known.metric)
        about = lowered(about | planned.about, known.metric)
        about = submit(out, photos, planned.apply(vote.soft(members)), about, folders)
        bundle.write_bundle(out, bundle.of_runs(folders, data, tta, average, out, planned))
        with reporting(out / REPORT):
            write_experiment_report(experiment, out / REPORT, known, rows.iloc[0], about)
    return out / CSV


def _members(
    recipes: Sequence[Recipe], configs: Sequence[TrialConfig], photos: pd.DataFrame, folders: Sequence[Path],
    values: Mapping[str, Any], making: _Making,
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:  # fmt: skip
    """Train each recipe into its folder; (the probabilities as predicted, the submission.json) of each. What
    is planned for their vote is done for a single one, too."""
    own = making if len(recipes) == 1 else replace(making, planned=FinishPlan(making.planned.task))
    members, abouts = [], []
    for number, (recipe, config, folder) in enumerate(zip(recipes, configs, folders, strict=True), start=1):
        output.info(f"recipe {number} of {len(recipes)}: {recipe.about}")
        recipe.write(folder / "recipe.json")
        stop_after = recipe.stop_with(values)
        probabilities, about = _retrain_checked(
            recipe, config, photos, folder, stop_after, own, is_member=True
        )
        members.append(probabilities)
        abouts.append(about)
    return members, abouts


@only_writer_of_out
def reproduce(path: Path, data: Path, out: Path, gpus: int | None = None) -> bool:
    """Make the submission of a bundle (a bundle.json, or its folder) again, in the folder `out`, with the
    bundle's number of threads, by `gpus` GPUs together (None: as many as there). Print before the training
    what differs here, and after it whether the files are the same. Return whether they are (True if the
    bundle has none to compare with).

    UsageError, before anything is trained, if the data or the labels are not those of the bundle.
    """
    made = bundle.read_bundle(path)
    names = [f"best/{number}" for number in range(1, len(made.members) + 1)] if made.voted else []
    folders = [out / name for name in names] or [out]
    refuse_overwriting(out, REPORT, BUNDLE, *names)
    recipes, values, gpus = made.recipes(), made.places(), gpus or made.processes
    finish = Finish(finishing.NONE, made.combined_photos)
    configs, photos, task = _ready(recipes, values, data, made.tta, finish, gpus)
    if words := bundle.data_difference(made, data):
        raise UsageError(f"{data}: {words}; nothing is trained")
    if words := bundle.label_difference(made, configs):
        raise UsageError(f"{words}; nothing is trained: put it back")
    differing = bundle.differences(made, configs, gpus)
    for words in differing:
        output.info(f"note: differs from where the bundle was made: {words}")
    planned = plan_finish(finish, data, photos, None, task, *_read_by(configs[0])).decided(made.decision)
    stops = [recipe.stop_after for recipe in recipes]
    what = _what(configs, stops, made.average, data)
    if not made.voted:
        _refuse_run(out, what)
    with writing(out, _files(names), what, names) as killed:
        making = _Making(made.average, made.tta, planned, gpus, killed)
        if made.voted:
            members, abouts = _members(recipes, configs, photos, folders, values, making)
            why = "a bundle holds no validation answers"
            about = about_vote(abouts[0], abouts, None, configs[0].metric, why)
            submit(out, photos, planned.apply(vote.soft(members)), about | planned.about, folders)
        else:
            _retrain_checked(recipes[0], configs[0], photos, out, stops[0], making)
        again = bundle.of_runs(folders, data, made.tta, made.average, out, planned)
        bundle.write_bundle(out, again)
    if not made.files:
        output.info("the bundle was written before a submission was made: there is none to compare with")
        return True
    if not (others := bundle.differing_files(made, out)):
        output.info(f"the same submission, byte for byte: {', '.join(made.files)}")
        return True
    output.info(f"not the same, byte for byte: {', '.join(others)}{bundle.answers_that_differ(path, out)}")
    same_networks = [
        one.network == other.network for one, other in zip(made.members, again.members, strict=True)
    ]
    output.info(f"networks with the same weights: {sum(same_networks)} of {len(same_networks)}")
    differing += bundle.other_precisions(made, again)
    output.info("what differs: " + ("; ".join(differing) or "nothing that the bundle records"))
    return False
