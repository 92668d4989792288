"""Probabilities of one or several runs -> a submission with its origin, warnings and report."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.predict.predicted_classes import (
    collapse_warnings,
    predicted_classes,
    table_lines,
    training_fractions,
)
from analysis.recipes import Recipe
from analysis.report.run import write_run_report
from analysis.submission import read_about, write_submission
from analysis.trials.unfinished import WARNING, unfinished
from analysis.trust.answers import VALIDATION
from analysis.trust.leaders import interval_facts
from common.errors import UsageError
from common.log import output_of
from trial.metrics import column_of
from trial.record import RunFolder

output = output_of(__name__)

REPORT = "report.html"


def submit_run(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], run: Path,
    table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """`submit` for the network of the run folder `run`, and report.html beside it."""
    about = submit(out, photos, probabilities, about, [run], table)
    write_run_report(out / REPORT, run, about)
    return about


def submit(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], runs: Sequence[Path],
    table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write submission.csv, predictions.csv and submission.json of `probabilities` (photos, classes) by
    the networks of the run folders `runs`, in the words of the first one's task. Return the content of
    submission.json but the task: `about`, answers, warnings.

    Print how often each class is predicted, beside the training data (if `table`), and each sign of a
    collapse.
    """
    training = training_fractions([RunFolder(run).class_counts() for run in runs])
    task = RunFolder(runs[0]).task()
    given = predicted_classes(probabilities, training, task)
    about = about | {"answers": given, "warnings": collapse_warnings(given)}
    write_submission(out, list(photos["photo"]), probabilities, about, task)
    if table:
        output.info("\n".join(table_lines(given)))
    for words in about["warnings"]:
        output.info(f"{WARNING}{words}")
    return about


def about_kept(run: Path) -> dict[str, Any]:
    """`about_run` of a run folder. If it holds a retrained network: the content of its own submission.json,
    which has the rule of its training and the scores of its recipe's trial."""
    own = read_about(run) or {}
    if "recipe" not in own:
        return about_run(run)
    of_its_predictions = (
        "answers", "task", "warnings", "photos", "unfinished", "temperature", "networks", "decision",
        "not_covered", "combined_photos",
    )  # fmt: skip
    kept = {key: value for key, value in own.items() if key not in of_its_predictions}
    return kept | {"created": _now(), **({"unfinished": state} if (state := unfinished(run)) else {})}


def about_run(run: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """The content of submission.json for a run folder's network: what it is and where it comes from.
    `recipe`: the one that was retrained into that folder."""
    folder = RunFolder(run)
    origin = folder.origin()
    searched = recipe.origin if recipe else origin
    return {
        "recipe": folder.config().recipe(),
        "data_fingerprint": origin["data_fingerprint"],
        "code": origin["code"],
        "versions": origin["versions"],
        "validation": dict(recipe.scores) if recipe else scores_kept(folder),
        "experiment": searched.get("experiment"),
        "trial": searched.get("trial"),
        "searched_on": searched.get("data_fingerprint"),
        "created": _now(),
        **({"trial_folder": str(recipe.folder)} if recipe and recipe.folder and recipe.scores else {}),
        **({"unfinished": state} if (state := unfinished(run)) else {}),
        **({"recipe_from_unfinished": recipe.unfinished} if recipe and recipe.unfinished else {}),
    }


def group_of(run: Path) -> str:
    """What a group is in the set of the run folder `run` (TrialConfig.group); '' if it can't be read."""
    try:
        return RunFolder(run).config().group
    except (OSError, UsageError):
        return ""


def scores_kept(folder: RunFolder) -> dict[str, Any]:
    """Validation scores of a trial's run; {} for a run without validation groups."""
    status = folder.status()
    if status.get("macro_f1") is None:
        return {}
    scores = {"macro_f1": status["macro_f1"], column_of(status["metric"]): status["score"]}
    if (folder.folder / VALIDATION).exists():
        scores |= interval_facts(folder.folder, status["metric"])
    return {**scores, "best_epoch": status["best_epoch"]}


def member_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the submission.json of a vote keeps of a member's: all but the task and its predicted classes."""
    return {key: value for key, value in about.items() if key not in ("answers", "task")}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
