"""Recipe files: a recipe worth keeping as JSON, with where it comes from."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.trials.table import SOUP
from analysis.trials.unfinished import unfinished
from analysis.trust.answers import validation_of
from analysis.trust.curves import curve_of, steady
from analysis.trust.leaders import interval_facts
from common.errors import UsageError, first_line, unknown
from common.files import write_json
from common.log import output_of
from common.machine import PROJECT
from common.text import few
from trial.commands.arguments import argument_text, read_recipe_file
from trial.config import FIELDS, TrialConfig, parse
from trial.metrics import column_of, title_of
from trial.run_folder.origin import label_files
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import RunFolder
from trial.run_folder.status import STATUS

logger = logging.getLogger(__name__)
output = output_of(__name__)
UNPROMISING = ("pseudo_labels", "train_fraction")  # fields that no promise depends on
KEYS = ("about", "recipe", "stop_after", "scores", "origin")


@dataclass(frozen=True)
class Recipe:
    """A recipe with its origin.

    `recipe`: a TrialConfig's fields except PLACES (data, out, device ...). `stop_after`: the epoch after
    which training ends although the schedule covers all epochs (None: after the last). `scores`: on the
    groups held out, that by the recipe's metric among them. `origin` names the run that it is of. Not written
    to its file: `folder`, that run if it is still there; `unfinished`, its state if it is not done.
    """

    recipe: dict[str, Any]
    about: str = ""
    stop_after: int | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    unfinished: dict[str, Any] | None = None
    folder: Path | None = None

    def config(self, values: Mapping[str, Any]) -> TrialConfig:
        """The config of this recipe with `values`: PLACES, and changes to the recipe."""
        return parse({**self.recipe, **values})

    def stop_with(self, values: Mapping[str, Any]) -> int | None:
        """`stop_after`, or None if `values` set another number of epochs, which is another schedule."""
        return None if "epochs" in values else self.stop_after

    def unpromised(self, config: TrialConfig, classes: Sequence[str]) -> str:
        """Why the scores of this recipe say nothing of `config` on photos of these `classes`: it is changed,
        or its file of corrections, or they are others; '' if they do. Labels for photos to predict and the
        retraining on all groups change no promise: it is that without them."""
        if not self.scores:
            return ""
        if list(classes) != self.origin.get("classes", list(classes)):  # earlier files do not name them
            return "the recipe was validated on other classes"
        try:
            own = parse(self.recipe, present=False).recipe()
        except UsageError:  # changes may mend it
            own = self.recipe
        changes = _changes(own, config, self.origin.get("label_files") or {}, labels_of(config))
        return f"another recipe than was validated: {few(changes)}" if changes else ""

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_json(path, {key: getattr(self, key) for key in KEYS})


def _changes(
    validated: Mapping[str, Any], config: TrialConfig, labels: Mapping[str, str], now: Mapping[str, str]
) -> list[str]:
    """By what `config` changes a recipe that was validated, but for UNPROMISING. `labels`: the `label_files`
    that it was validated with; `now`: those of `config`."""
    fields = [
        f"{name}={argument_text(value)} (validated: {argument_text(validated.get(name)) or 'none'})"
        for name, value in config.recipe().items()
        if value != validated.get(name) and name not in UNPROMISING
    ]
    said = {*UNPROMISING, *(field.partition("=")[0] for field in fields)}
    # A teacher's file is called teacher.runs=FOLDER.
    known = [name for name in sorted(labels) if name.partition(".")[0] not in said]
    others = [name for name in known if now.get(name) != labels[name]]
    return fields + [f"{named_file(name, config)} holds other labels" for name in others]


def named_file(name: str, config: TrialConfig) -> str:
    """A name of `label_files` with its value in `config`; a teacher's has it already."""
    return f"{name}={getattr(config, name)}" if name in FIELDS else name


def trial_of(run: Path, about: Mapping[str, Any]) -> tuple[Path | None, str]:
    """(The run folder of the trial whose recipe was retrained into the run folder `run`, "") or (None, why
    it can't be asked); (None, "") if the content of the submission.json `about` names none."""
    own, searched_on = RunFolder(run), about.get("searched_on")

    def known() -> tuple[TrialConfig, Mapping[str, Any], Sequence[str]]:
        return own.config(), own.origin(), own.task().classes

    return _asked(about.get("trial_folder"), known, searched_on)[:2]


def _asked(
    folder: str | None,
    known: Callable[[], tuple[TrialConfig, Mapping[str, Any], Sequence[str] | None]],
    searched_on: str | None,
) -> tuple[Path | None, str, bool]:
    """(The trial's `folder`, "", False) or (None, why it does not hold the trial of the `known` config,
    origin and classes, on the data `searched_on`, whether that is a difference of recipes alone); (None, "",
    False) without `folder`. Classes or data that are None are not compared."""
    if not folder:
        return None, "", False
    trial = RunFolder(PROJECT / str(folder))
    try:
        origin = trial.origin()
        config, own, classes = known()
        labels = [one.get("label_files") or {} for one in (origin, own)]
        changes = _changes(trial.config().recipe(), config, *labels)
        other = [
            *(["other classes"] if classes not in (None, trial.task().classes) else []),
            *(["other photos"] if searched_on not in (None, origin["data_fingerprint"]) else []),
        ]
    except FileNotFoundError:
        elsewhere = "if it is on another machine, copy its run folder from there"
        return None, f"{trial.folder}, the trial whose recipe this is, is gone; {elsewhere}", False
    except UsageError as error:
        return None, first_line(error), False
    if other:
        words = "; ".join([*([few(changes)] if changes else []), *other])
        return None, f"{trial.folder} no longer holds the trial whose recipe this is: {words}", False
    if changes:
        return None, f"it differs from the recipe of the trial in {trial.folder}: {few(changes)}", True
    return trial.folder, "", False


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file, or the config.json of a run: then with its scores and with the epoch
    to stop after. A file without the trial that it names, as on another machine, says so; one that differs
    from the trial's recipe, as after an edit, has no scores and no promise. UsageError if it is damaged."""
    if path.is_dir() and (path / "config.json").is_file():
        raise UsageError(f"{path}: is a run folder; give the recipe in it: {path / 'config.json'}")
    if path.name == "config.json" and (path.parent / STATUS).exists():
        try:
            recipe = _of_run(RunFolder(path.parent), f"run {path.parent.name}")
        except FileNotFoundError as error:
            raise UsageError(f"{error.filename}: is missing; that run is incomplete") from None
        if soup := recipe.origin.get(SOUP):
            raise UsageError(
                f"{path}: its network is the mean of the weights of several runs, which no recipe trains; "
                f"give one of these: {', '.join(f'{run}/config.json' for run in soup)}"
            )
        return recipe
    read = read_recipe_file(path)
    if errors := [f"{path}: " + unknown("key", key, KEYS) for key in read.keys() - set(KEYS)]:
        raise UsageError(errors)
    return _with_trial(Recipe(**read))


def _with_trial(recipe: Recipe) -> Recipe:
    """The recipe of a file, with the folder of the trial that it names, unless a line says why that can't be
    asked."""
    origin = recipe.origin

    def known() -> tuple[TrialConfig, Mapping[str, Any], Sequence[str] | None]:
        classes = tuple(origin["classes"]) if "classes" in origin else None
        return parse(recipe.recipe, present=False), origin, classes

    folder, why, is_changed = _asked(origin.get("folder"), known, origin.get("data_fingerprint"))
    if is_changed:
        output.info(f"note: nothing is promised of this recipe, and it has no validation answers: {why}")
        return replace(recipe, scores={}, origin={key: origin[key] for key in origin if key != "promise"})
    if why:
        promised = "the promise is its file's" if origin.get("promise") else "there is no promise"
        output.info(
            f"note: there are no validation answers for this recipe, so no decision layer, and {promised}: "
            f"{why}"
        )
    return replace(recipe, folder=folder)


def in_project(folder: Path) -> str:
    """The path from the project's folder on, which may be moved; of one that lies elsewhere the whole."""
    folder = folder.resolve()
    return str(folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder)


def recipe_of(row: pd.Series, experiment: str) -> Recipe:
    """The recipe of a row of the trials table, with its scores."""
    run = RunFolder(Path(row["folder"]))
    status = run.status()
    score = f"{title_of(status['metric'])} {status['score']:.4f}"
    about = f"trial {row['trial']} of experiment {experiment}: validation {score}"
    recipe = _of_run(run, about)
    return replace(recipe, origin={"experiment": experiment, "trial": row["trial"], **recipe.origin})


def _of_run(run: RunFolder, about: str) -> Recipe:
    """A run's recipe, to stop after the epoch with the best mean of its own and its neighbours' scores; if
    nobody was held out (it was retrained), after its last epoch and without scores. A warning if its
    validation answers can't be read."""
    status, scores = run.status(), {}
    stop_after = status.get("best_epoch")
    if stop_after is not None:
        scores, limits = {"macro_f1": status["macro_f1"]}, {}
        try:
            scores["accuracy"] = scores_of(validation_of(run.folder)).accuracy
            limits = interval_facts(run.folder, status["metric"])
        except (FileNotFoundError, UsageError) as error:
            logger.warning(f"WARNING: the recipe is kept without accuracy and interval: {first_line(error)}")
        scores |= {column_of(status["metric"]): status["score"], **limits}
        scores |= {"best_epoch": stop_after, "epochs": status["epochs"]}
        best = steady(curve_of(run.folder, status["metric"], status["score"]))
        stop_after = stop_after if best is None else best[1]
    elif status["state"] == "done":
        stop_after = status["epochs"]
    recipe, state = run.config().recipe(), unfinished(run.folder)
    origin = run.origin() | {"classes": list(run.task().classes), "folder": in_project(run.folder)}
    return Recipe(recipe, about, stop_after, scores, origin, state, run.folder)


def labels_of(config: TrialConfig) -> dict[str, str]:
    """{name: SHA-256} of the files whose content changes labels, which `config` only names."""
    return label_files(config.recipe())
