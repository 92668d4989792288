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
from analysis.learning_curve import FOLDER
from analysis.predict import finishing, vote
from analysis.predict.finishing import Finish, FinishPlan
from analysis.predict.trained import predict
from analysis.predict.validation import facts_by_views
from analysis.ready import Ready, Training, make_ready
from analysis.recipes import Recipe, recipe_of
from analysis.report.experiment import write_experiment_report
from analysis.retrain import retrain, retrain_on_gpus
from analysis.submission import CSV, SUBMISSION, is_left_of, refuse_existing, refuse_overwriting, writing
from analysis.submit import REPORT, about_run, about_vote, reporting, submit, submit_run
from analysis.trials.printing import trust_words, write_trials
from analysis.trials.ranking import Ranking, rank
from analysis.trials.table import Experiment, trial_table
from analysis.trials.unfinished import recipe_words
from common.errors import UsageError
from common.files import only_writer_of_out
from common.log import output_of
from trial.config import PLACES
from trial.run_folder.checkpoint import CHECKPOINT
from trial.run_folder.record import refuse_run

output = output_of(__name__)

TRIALS = "trials.csv"


@dataclass(frozen=True)
class _Making:
    """How networks are trained, and what is done with their predictions for `photos`. `again`: after a try
    that was killed."""

    photos: pd.DataFrame
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
    ready = make_ready([recipe], values, data, tta, finish, gpus, learning_curve)
    tta, planned = ready.plan(finish, tta)
    ready.print_promised()
    if recipe.unfinished:
        output.info(recipe_words(recipe.unfinished, ready.trainings[0].stop_after))
    what = ready.what(average)
    _refuse_run(out, what)
    with writing(out, _files(), what, [FOLDER] if learning_curve else []) as again:
        (training,) = ready.measured(out / FOLDER).trainings
        making = _Making(ready.photos, average, tta, planned, gpus, again)
        probabilities, about = _retrain_checked(training, out, making)
        bundle.write_bundle(out, bundle.of_runs([out], data, tta, average, out, planned))
    return planned.apply(probabilities), about


def _files(folders: Sequence[str] = ()) -> list[str]:
    """The names of a submission's files in its folder, and in the `folders` of its retrained networks."""
    names = [*SUBMISSION, REPORT]
    return [*names, BUNDLE, *(f"{folder}/{name}" for folder in folders for name in names)]


def _refuse_run(out: Path, what: Mapping[str, Any]) -> None:
    """UsageError if `out` holds a run that can't be gone on with."""
    if not is_left_of(out, what) and not (out / CHECKPOINT).is_file():
        refuse_run(out)


def _retrain_checked(
    training: Training, out: Path, making: _Making, is_member: bool = False
) -> tuple[np.ndarray, dict[str, Any]]:
    """(The probabilities as predicted, the content of the submission.json of what is decided by these).
    `is_member`: of a submission in another folder, which has the table of its classes and the bundle."""
    recipe, config, stop_after = training
    # Views that were chosen are known to gain; those of a vote may lose for a member.
    known = None if "tta_chosen" in making.planned.about else training.trial(making.planned.task)
    by_views = facts_by_views(known, Path(config.data), making.tta) if known and recipe.scores else {}
    train = retrain if making.gpus == 1 else partial(retrain_on_gpus, making.gpus)
    followed = train(config, out, stop_after, making.average, making.again)
    probabilities = predict(out, making.photos, making.tta)
    about = about_run(out, recipe) | {"rule": followed, "tta": making.tta, **making.planned.about}
    about["validation"] |= by_views
    decided, alone = making.planned.apply(probabilities), not is_member
    return probabilities, submit_run(out, making.photos, decided, about, out, table=alone, bundled=alone)


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
    known = ranking or rank(trial_table(experiment))

    def chosen() -> tuple[pd.DataFrame, Ready]:
        rows = known.best(top, model)
        recipes = _recipes(experiment, known, rows)
        return rows, make_ready(recipes, values or {}, data, tta, finish, gpus, learning_curve)

    rows, ready = chosen()
    if hours is not None:  # what can be refused was, before anything is trained
        known = _confirmed(experiment, known, hours, data, values or {})
        rows, ready = chosen()
    tta, planned = ready.plan(finish, tta)
    left = [*names, *([FOLDER] if learning_curve else [])]
    with writing(out, [TRIALS, *_files(names)], ready.what(average), left) as again:
        write_trials(known, out / TRIALS)
        promised = ready.print_promised() and "no_promise" not in planned.about
        if promised:
            _print_trust(known, rows)
        ready = ready.measured(out / FOLDER)
        members, abouts = _members(ready, folders, _Making(ready.photos, average, tta, planned, gpus, again))
        about = abouts[0] | {"selection": known.rule, "network": model}
        if promised and _is_first(known, rows):  # the recipe has the promise itself
            about |= {name: fact for name, fact in known.leaders.facts().items() if name != "promise"}
        if top > 1:
            about = about_vote(about, abouts, planned.validated, known.metric)
        about |= planned.about
        about = submit(out, ready.photos, planned.apply(vote.soft(members)), about, folders)
        bundle.write_bundle(out, bundle.of_runs(folders, data, tta, average, out, planned))
        with reporting(out / REPORT):
            write_experiment_report(experiment, out / REPORT, known, rows.iloc[0], about)
    return out / CSV


def _members(
    ready: Ready, folders: Sequence[Path], making: _Making
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """Train each recipe into its folder; (the probabilities as predicted, the submission.json) of each. What
    is planned for their vote is done for a single one, too."""
    many = len(folders)
    own = making if many == 1 else replace(making, planned=FinishPlan(making.planned.task))
    members, abouts = [], []
    for number, (training, folder) in enumerate(zip(ready.trainings, folders, strict=True), start=1):
        output.info(f"recipe {number} of {many}: {training.recipe.about}")
        training.recipe.write(folder / "recipe.json")
        probabilities, about = _retrain_checked(training, folder, own, is_member=True)
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
    gpus, finish = gpus or made.processes, Finish(finishing.NONE, made.combined_photos)
    ready = make_ready(made.recipes(), made.places(), data, made.tta, finish, gpus)
    if words := bundle.data_difference(made, data):
        raise UsageError(f"{data}: {words}; nothing is trained")
    if words := bundle.label_difference(made, ready.configs):
        raise UsageError(f"{words}; nothing is trained: put it back")
    differing = bundle.differences(made, ready.configs, gpus)
    for words in differing:
        output.info(f"note: differs from where the bundle was made: {words}")
    tta, planned = ready.plan(finish, made.tta)
    planned, what = planned.decided(made.decision), ready.what(made.average)
    if not made.voted:
        _refuse_run(out, what)
    with writing(out, _files(names), what, names) as killed:
        making = _Making(ready.photos, made.average, tta, planned, gpus, killed)
        if made.voted:
            members, abouts = _members(ready, folders, making)
            why = "a bundle holds no validation answers"
            about = about_vote(abouts[0], abouts, None, ready.configs[0].metric, why)
            submit(out, ready.photos, planned.apply(vote.soft(members)), about | planned.about, folders)
        else:
            _retrain_checked(ready.trainings[0], out, making)
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
