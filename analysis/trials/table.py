"""Run folders and NNI's database -> one table with a row per trial; one that ran other values than NNI
recorded is marked."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.trials.chosen import CHOICE, PAUSED, choice_of, choice_words, read_or_damage
from analysis.trials.flatten import flat_alike
from analysis.trials.hours import HOURS, hours_of_search
from analysis.trials.nni_database import experiment_name
from analysis.trials.outcomes import Outcome, outcomes
from analysis.trust.curves import STEADY, curve_of, steady
from analysis.trust.leaders import promised_words
from common.errors import UsageError, unknown
from common.machine import EXPERIMENTS
from common.nni_database import database, profile
from common.text import counted, path_text
from trial.aliases import current_field
from trial.catalogue import model_fields
from trial.config import TrialConfig, parse, spread
from trial.metrics import METRICS, column_of
from trial.run_folder.record import EPOCHS, RunFolder
from trial.run_folder.status import DAMAGED

# The outcome of a trial. Trials by another metric than macro_f1 have its column (one of SCORES), too,
# finished ones STEADY, those of an experiment HOURS, those of a search by tuners.search.Search CHOICE. All
# other columns are the recipe.
COLUMNS = [
    "sequence", "trial", "state", "reason", "macro_f1", "best_epoch", "epochs_done", "seconds", "folder",
]  # fmt: skip
SCORES = tuple(map(column_of, METRICS))
NUMBERS = ("best_epoch", "epochs_done", "seconds", STEADY, HOURS, "expected_improvement")
SOUP = "soup"  # a state, and the key of a run's origin that names the runs whose weights it is the mean of
# Tuners that start with the space's default recipe: today's, and that of earlier experiments.
DEFAULT_FIRST = ("tuners.search.Search", "tuners.default_first.DefaultFirstTPE")


@dataclass(frozen=True)
class Experiment:
    """An experiment of NNI: its `id`, the `name` in its YAML ('' if it has none) and its `folder`."""

    id: str
    name: str
    folder: Path


def argument_of(experiment: Path) -> str:
    """By what a command finds an experiment, for a shell: its id, or its folder if not in EXPERIMENTS."""
    folder = experiment.resolve()
    if folder.parent == EXPERIMENTS.resolve():
        return folder.name
    return shlex.quote(path_text(experiment.absolute()))


def experiments(root: Path = EXPERIMENTS) -> list[Experiment]:
    """All experiments below `root`, the newest last."""
    if not root.is_dir():
        return []
    # NNI keeps a link to the latest one beside them.
    folders = [f for f in root.iterdir() if database(f).is_file() and not f.is_symlink()]
    folders.sort(
        key=lambda folder: ((folder / "log").stat().st_ctime if (folder / "log").exists() else 0, folder)
    )
    return [Experiment(folder.name, experiment_name(folder), folder) for folder in folders]


def find(wanted: str, root: Path = EXPERIMENTS) -> Experiment:
    """The experiment by NNI's id, its folder, a YAML's name (its newest), or 'latest'."""
    folder = Path(wanted)
    if folder.name == "trials" and database(folder.parent).is_file():
        folder = folder.parent
    if database(folder).is_file():
        return Experiment(folder.resolve().name, experiment_name(folder), folder)
    known = experiments(root)
    if wanted == "latest" and known:
        return known[-1]
    by_name = [e for e in known if wanted in (e.id, e.name) or (folder.stem == e.name and folder.suffix)]
    if by_name:
        return by_name[-1]
    if folder.is_dir():
        raise UsageError(
            f"{wanted}: is a folder, but not an experiment's; for runs in it: python -m analysis trials "
            f"{shlex.quote(wanted)}, or give one of them"
        )
    if not known:
        raise UsageError(f"no experiment '{wanted}': {root} holds none yet; start one: "
                             "python -m experiments run experiments/demo.yaml")  # fmt: skip
    names = dict.fromkeys([*(e.name for e in reversed(known) if e.name), *(e.id for e in reversed(known))])
    raise UsageError(unknown("experiment", wanted, names) + f" (in {root}); 'latest' is the newest")


def trial_table(experiment: Experiment) -> pd.DataFrame:
    """The trials table of an experiment: one row per trial, in NNI's order. A trial that went on from earlier
    ones stands for them, under the first one's number.

    Columns: sequence, trial, state (done, paused, stopped_early, interrupted, failed, running, waiting, soup,
    mismatch, damaged: a file that it needs can't be read), reason, macro_f1 (of the best epoch so far), if
    the trials' metric is another one its column (balanced_accuracy), best_epoch, epochs_done, seconds,
    folder; of finished trials steady_score (the best mean of three neighbouring epochs); hours (of search
    until its end); of a search by tuners.search.Search chosen_by and expected_improvement; then the recipe,
    flattened (`loss`, ...).
    `attrs["searched"]`: the recipe's columns that the search space varies; `attrs["default_first"]`: whether
    the first trial is the space's default recipe; `attrs["chosen"]`: a sentence on who chose the recipes, if
    that is known, or that their file is damaged.
    """
    config = profile(experiment.folder)
    varied, carried = _varied(config.get("searchSpace") or {})
    stopper = _early_stopper(config)
    choices, damage = read_or_damage(experiment.folder)
    trials = outcomes(experiment.folder, choices, stopper)
    hours = hours_of_search(experiment.folder)
    rows = [_row(one, bool(varied), hours.get(one.recorded.trial)) for one in trials]
    if choices:
        rows = [(row | choice_of(one.chosen), ran) for one, (row, ran) in zip(trials, rows, strict=True)]
    table = table_of(rows)
    paused = sum(one.status["state"] == PAUSED or bool(one.earlier) for one in trials)
    went_on = sum(bool(one.earlier) for one in trials)
    table.attrs["chosen"] = damage or choice_words(choices, paused, went_on)
    table.attrs["searched"] = [
        c for c in recipe_columns(table)
        if c in varied or (c.partition(".")[0] in varied | carried and table[c].nunique() > 1)
    ]  # fmt: skip
    tuner = config.get("tuner") or {}
    table.attrs["default_first"] = tuner.get("className") in DEFAULT_FIRST
    return table


def _varied(space: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """(fields of a search space, fields that its networks bring along), by today's names."""
    varied = {current_field(key) for key in space}
    varied |= {f"{current_field(key)}.{name}" for key, spec in space.items() for name in _inner(spec)}
    if "model" not in varied:
        return varied, set()
    carried = {name for one in _values(space["model"]) for name in model_fields(one)} | {"weights"}
    return varied, carried - varied


def _inner(spec: Any) -> Iterator[str]:
    """The parameters of a field's options that have more than one value in the space."""
    for option in _values(spec):
        for name, inner in option.items() if isinstance(option, Mapping) else ():
            if isinstance(inner, Mapping) and (inner.get("_type") != "choice" or len(_values(inner)) > 1):
                yield name


def _values(spec: Any) -> list[Any]:
    """The `_value` of a field of a search space; [] if it is damaged."""
    values = spec.get("_value") if isinstance(spec, Mapping) else None
    return values if isinstance(values, list) else []


def _early_stopper(config: dict[str, Any]) -> str:
    limit = config.get("maxTrialDuration")
    others = [f"maxTrialDuration ({limit})"] if limit else []
    return " or ".join([*(["the assessor"] if config.get("assessor") or not limit else []), *others])


def _row(one: Outcome, searched: bool, hours: float | None) -> tuple[dict[str, Any], TrialConfig | None]:
    """(COLUMNS and HOURS of a trial, its config or None)."""
    recorded = one.recorded
    row, config = row_of(one.run, one.sequence, one.status)
    row[HOURS] = hours
    if recorded.damage:
        row |= {"state": DAMAGED, "reason": f"NNI's record of it is damaged ({recorded.damage})"}
    if config is None or recorded.damage:
        return row, config
    if searched and not recorded.parameters:
        row |= {"state": "mismatch", "reason": "NNI recorded no values for it"}
    elif differing := mispaired(config, recorded.parameters):
        row |= {"state": "mismatch", "reason": f"ran other values than NNI recorded: {', '.join(differing)}"}
    return row, config


def row_of(
    run: RunFolder, sequence: int, status: Mapping[str, Any]
) -> tuple[dict[str, Any], TrialConfig | None]:
    """(COLUMNS of a run folder with this status, its config or None if that can't be read)."""
    row = {"sequence": sequence, "trial": run.folder.name}
    row |= {"state": status["state"], "reason": status["reason"]}
    row |= {"macro_f1": status.get("macro_f1"), "best_epoch": status.get("best_epoch")}
    row |= {"epochs_done": status.get("epochs"), "seconds": status.get("seconds")}
    row["folder"] = str(run.folder)
    try:
        config = run.config()
    except FileNotFoundError as error:
        if row["state"] == "done":
            row |= {"state": DAMAGED, "reason": f"{error.filename}: is missing"}
        return row, None
    except UsageError as error:
        reason = f"config.json is damaged, or not one of this version: {error}"
        return row | {"state": DAMAGED, "reason": reason}, None
    row |= {column_of(config.metric): status.get("score")}
    if row["state"] == "done":
        try:
            # Without a score it was retrained on all groups, and its curve has none either.
            scored = row["macro_f1"] is not None
            curve = curve_of(run.folder, config.metric, status.get("score")) if scored else np.empty(0)
            if 0 < len(curve) < (status.get("best_epoch") or 0):
                raise UsageError(f"{run.folder / EPOCHS}: is damaged (it ends before the best epoch)")
            best = steady(curve) if len(curve) else None
            task, origin = run.task(), run.origin()
        except FileNotFoundError as error:
            return row | {"state": DAMAGED, "reason": f"{error.filename}: is missing"}, config
        except UsageError as error:
            return row | {"state": DAMAGED, "reason": str(error)}, config
        if best is not None:
            row[STEADY] = best[0]
        if origin.get(SOUP):
            row |= {"state": SOUP, "reason": _soup_words(origin, config.metric, task.groups)}
    return row, config


def _soup_words(origin: Mapping[str, Any], metric: str, groups: str) -> str:
    promise = origin.get("promise")
    promises = f"; promises {promised_words(promise, metric, groups)}" if promise else ""
    return f"{mean_words(origin[SOUP])}, not a recipe{promises}"


def mean_words(members: Sequence[str]) -> str:
    """What a soup of these runs is."""
    return f"the mean of the weights of {counted(len(members), 'run')}"


def table_of(rows: Sequence[tuple[dict[str, Any], TrialConfig | None]]) -> pd.DataFrame:
    """The trials table of these (COLUMNS, config) rows, with flattened recipes."""
    recipes = iter(flat_alike([config for _, config in rows if config]))
    lines = [row | (next(recipes) if config else {}) for row, config in rows]
    table = pd.DataFrame(lines, columns=None if lines else COLUMNS)
    scores = [name for name in SCORES if name in table]
    others = [name for name in (STEADY, HOURS, *CHOICE) if name in table]
    for number in table.columns.intersection([*SCORES, *NUMBERS]):
        table[number] = pd.to_numeric(table[number])
    before = COLUMNS.index("macro_f1")
    outcome = [*COLUMNS[:before], *scores, *COLUMNS[before + 1 :], *others]
    return table[[*outcome, *recipe_columns(table)]]


def recipe_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a trials table that hold the recipe."""
    return [name for name in table.columns if name not in (*COLUMNS, *SCORES, STEADY, HOURS, *CHOICE)]


def mispaired(config: TrialConfig, parameters: dict[str, Any]) -> list[str]:
    """The fields in which the config that ran differs from the values that NNI recorded; [] if they agree."""
    ran = config.to_json()
    errors: list[str] = []
    given = spread(parameters, errors)
    if errors:
        return errors
    if _plainly_agree(ran, given):
        return []
    try:
        recorded = parse({**ran, **given}, present=False).to_json()
    except UsageError as error:
        return error.errors
    return [key for key in ran if ran[key] != recorded[key]]


def _plainly_agree(ran: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether each given value, parsed by itself, is what ran; False does not prove a difference.

    A shortcut: fields are parsed independently, so values that agree one by one also agree together. It
    saves nearly all trials a second parse, a third of the time that a large table takes.
    """
    for name, value in given.items():
        if name not in ran:
            return False
        actual = ran[name]
        if type(value) is type(actual) and value == actual and not isinstance(value, dict):
            continue
        # Compared as JSON, since 1 == True == 1.0 in Python.
        text, wanted = json.dumps(value), json.dumps(actual)
        if text != wanted and _read_alone(name, text) != wanted:
            return False
    return True


@lru_cache(1000)  # most searched values are one of a few names
def _read_alone(name: str, given: str) -> str | None:
    """The parsed value of one field as JSON ('light' is a policy with its steps, say); None if it can't be
    parsed without the other fields."""
    try:
        return json.dumps(parse({name: json.loads(given)}, present=False).to_json()[name])
    except UsageError:
        return None
