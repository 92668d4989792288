"""Probabilities of one or several runs -> a submission with all that belongs to it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import answers
from analysis.recipes import Recipe
from analysis.report import write_report
from analysis.submission import write_submission
from analysis.trials import no_trials
from analysis.unfinished import WARNING, unfinished
from trial.record import RunFolder

REPORT = "report.html"


def submit(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], runs: Sequence[Path],
    name: str = "", table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """submission.csv, predictions.csv and submission.json of the networks in the folders `runs`, with a
    report.html called `name` (the recipe's network); submission.json.

    What was answered is printed beside the training data's classes: a `table`, and each sign of a collapse.
    """
    about = hand_in(out, photos, probabilities, about, runs, table)
    write_report(out / REPORT, name or about["recipe"]["model"], no_trials(), {}, None, None, about)
    return about


def hand_in(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], runs: Sequence[Path],
    table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """As `submit`, without the report."""
    training = answers.training_fractions([RunFolder(run).class_counts() for run in runs])
    given = answers.answered(probabilities, training)
    about = about | {"answers": given, "warnings": answers.warnings_of(given)}
    write_submission(out, list(photos["photo"]), probabilities, about)
    if table:
        print("\n".join(answers.lines(given)), flush=True)
    for words in about["warnings"]:
        print(f"{WARNING}{words}", flush=True)
    return about


def about_run(run: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """submission.json of a run folder's network: what it is and where it comes from."""
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
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **({"unfinished": state} if (state := unfinished(run)) else {}),
        **({"recipe_from_unfinished": recipe.unfinished} if recipe and recipe.unfinished else {}),
    }


def scores_kept(folder: RunFolder) -> dict[str, Any]:
    """Validation scores of a trial's run; {} of a run without validation people."""
    status = folder.status()
    return {k: status[k] for k in ("macro_f1", "best_epoch")} if status.get("macro_f1") is not None else {}


def member_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the submission.json of a vote keeps of a member's: all but the member's own answers."""
    return {key: value for key, value in about.items() if key != "answers"}
