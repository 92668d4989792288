"""Probabilities of one or several runs -> a submission with its origin, warnings and report."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from analysis.predict.validation import BY_TTA
from analysis.recipes import Recipe, in_project
from analysis.report.run import write_run_report
from analysis.submission import BEST_MEMBER, metric_of, read_about, write_submission
from analysis.trials.unfinished import WARNING, unfinished
from analysis.trust.answers import answers_of
from analysis.trust.bootstrap import BOUNDS, interval_of
from analysis.trust.leaders import interval_facts, promise_facts, promised_words
from common.errors import UsageError
from common.log import output_of
from common.text import now
from trial.metrics import METRICS, column_of
from trial.run_folder.predictions import scores_of
from trial.run_folder.record import VALIDATION, RunFolder

output = output_of(__name__)
logger = logging.getLogger(__name__)

REPORT = "report.html"
AND = " and "  # between the options that a promise is lowered for
# In submission.json: validation and promise of a network of whose changed predictions nothing, or less, is
# promised.
OF_NETWORK = "of_the_network"


def submit_run(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], run: Path,
    table: bool = True, bundled: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """`submit` for the network of the run folder `run`, and report.html beside it. `bundled`: the caller
    writes its bundle afterwards."""
    about = submit(out, photos, probabilities, about, [run], table)
    with reporting(out / REPORT):
        write_run_report(out / REPORT, run, about, bundled=bundled)
    return about


@contextmanager
def reporting(report: Path) -> Iterator[None]:
    """Make the report of a submission that is written. A fault in it is shown, and leaves the submission:
    hours of training, at a deadline, are worth more than its page. UsageError and OSError are raised."""
    try:
        yield
    except (UsageError, OSError):
        raise
    except Exception:
        words = f"WARNING: {report} could not be made, by a fault of this program; the submission is whole."
        logger.warning(f"{words} What happened:", exc_info=True)


def submit(
    out: Path, photos: pd.DataFrame, probabilities: np.ndarray, about: dict[str, Any], runs: Sequence[Path],
    table: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write submission.csv, predictions.csv and submission.json of `probabilities` (photos, classes) by
    the networks of the run folders `runs`, in the words of the first one's task. Return the content of
    submission.json but the task: `about` (a promise `lowered`; with no_promise, validation and promise
    apart), answers, warnings.

    Print, if `table`, how often each class is predicted, beside the training data, and the promise; print
    each sign of a collapse.
    """
    training = training_fractions([RunFolder(run).class_counts() for run in runs])
    task = RunFolder(runs[0]).task()
    given = predicted_classes(probabilities, training, task)
    about = lowered(about, metric := metric_of(about))
    if "no_promise" in about:
        about = _promising_nothing(about)
    about = about | {"answers": given, "warnings": collapse_warnings(given)}
    write_submission(out, list(photos["photo"]), probabilities, about, task)
    if table:
        output.info("\n".join(table_lines(given)))
        for name in ("promise", BEST_MEMBER):
            if promise := about.get(name):
                words = promised_words(promise, metric, task.groups)
                output.info(f"{name.replace('_', ' ')}: {words}")
    for words in about["warnings"]:
        output.info(f"{WARNING}{words}")
    return about


def _promising_nothing(about: dict[str, Any]) -> dict[str, Any]:
    """The content of a submission.json with what is known of its network moved to OF_NETWORK: none of it
    holds for these predictions, but for the scores of their views. What a member's has there already
    stays."""
    promised = ("validation", "promise", BEST_MEMBER)
    scores = about.get("validation") or {}
    views = {name: value for name, value in scores.items() if name.endswith(BY_TTA)}
    own = about | {"validation": {name: value for name, value in scores.items() if name not in views}}
    known = about.get(OF_NETWORK, {}) | {name: own[name] for name in promised if own.get(name)}
    kept = {name: value for name, value in about.items() if name not in promised}
    return kept | {"validation": views, **({OF_NETWORK: known} if known else {})}


def lowered(about: dict[str, Any], metric: str) -> dict[str, Any]:
    """The content of a submission.json whose promise, which is that of the plain predictions, is lowered by
    what views and combined photos lose against these on the same validation photos. What a member's promise
    was lowered by already does not lower it again."""
    views = (about.get("validation") or {}).get(column_of(metric) + BY_TTA) or {}
    combined = about.get("combined_photos") or {}
    alone, together = combined.get("validation_alone"), combined.get("validation")
    pairs = [(f"--tta {name}", views["none"], score) for name, score in views.items() if name != "none"]
    pairs += [("--combine-photos", alone, together)] if together is not None else []
    lost = {name: plain - score for name, plain, score in pairs if score < plain}
    promises = {name: own for name in ("promise", BEST_MEMBER) if (own := about.get(name))}
    less = {}
    for name, own in promises.items() if "no_promise" not in about else ():
        known = own["lowered_for"].split(AND) if "lowered_for" in own else []
        if more := {why: by for why, by in lost.items() if why not in known}:
            by, lowest = sum(more.values()), BOUNDS[metric][0]
            numbers = {key: own[key] for key in (column_of(metric), "low", "high")}
            moved = {key: round(max(lowest, value - by), 4) for key, value in numbers.items()}
            whole = round(by + own.get("lowered_by", 0.0), 4)
            less[name] = own | moved | {"lowered_by": whole, "lowered_for": AND.join([*known, *more])}
    return about | less | {OF_NETWORK: {name: promises[name] for name in less}} if less else about


def about_kept(run: Path) -> dict[str, Any]:
    """`about_run` of a run folder. If it holds a retrained network: the content of its own submission.json,
    which has the rule of its training and the scores of its recipe's trial."""
    own = read_about(run) or {}
    if "recipe" not in own:
        return about_run(run)
    of_its_predictions = (
        "answers", "task", "warnings", "photos", "unfinished", "temperature", "networks", "decision",
        "not_covered", "combined_photos", "tta_chosen", OF_NETWORK,
    )  # fmt: skip
    if known := own.get(OF_NETWORK):
        own = {key: value for key, value in own.items() if key != "no_promise"} | known
    kept = {key: value for key, value in own.items() if key not in of_its_predictions}
    scores = kept.get("validation") or {}
    kept["validation"] = {key: value for key, value in scores.items() if not key.endswith(BY_TTA)}
    return kept | {"created": now(), **({"unfinished": state} if (state := unfinished(run)) else {})}


def about_run(run: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """The content of submission.json for a run folder's network: what it is and where it comes from.
    `recipe`: the one that was retrained into that folder."""
    folder = RunFolder(run)
    origin, config = folder.origin(), folder.config()
    searched = recipe.origin if recipe else origin
    trial, validation = (recipe.folder, dict(recipe.scores)) if recipe else (run, scores_kept(folder))
    if changed := recipe.unpromised(config, folder.task().classes) if recipe else "":
        trial, validation = None, {}
    return {
        "recipe": config.recipe(),
        "data_fingerprint": origin["data_fingerprint"],
        **({"label_files": files} if (files := origin.get("label_files")) else {}),
        "code": origin["code"],
        "versions": origin["versions"],
        "validation": validation,
        **(_promise(trial, config.metric, recipe) if validation else {}),
        **({"no_promise": changed} if changed else {}),
        "experiment": searched.get("experiment"),
        "trial": searched.get("trial"),
        "searched_on": searched.get("data_fingerprint"),
        "created": now(),
        **({"trial_folder": in_project(trial)} if recipe and trial and validation else {}),
        **({"unfinished": state} if (state := unfinished(run)) else {}),
        **({"recipe_from_unfinished": recipe.unfinished} if recipe and recipe.unfinished else {}),
    }


def _promise(trial: Path | None, metric: str, recipe: Recipe | None) -> dict[str, Any]:
    """{"promise"}: the search's, which is corrected for the choice among its trials, if the recipe was its
    best one; else that of the trial alone, {} if its folder is not known."""
    if kept := recipe.origin.get("promise") if recipe else None:
        return {"promise": kept}
    return promise_facts(trial, metric) if trial else {}


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


def vote_scores(voted: pd.DataFrame | None, why: str, metric: str) -> dict[str, Any]:
    """{"macro_f1", "accuracy", the score by `metric`, its interval's "low" and "high", the numbers of
    "photos" and "groups"} of the vote's validation answers, or {"none": why}."""
    if voted is None:
        return {"none": why}
    scores = scores_of(voted)
    limits = interval_of(answers_of(voted, "the vote"), metric).limits()
    return {
        "macro_f1": scores.macro_f1, "accuracy": scores.accuracy,
        column_of(metric): METRICS[metric](scores), **limits, "photos": len(voted),
        "groups": int(voted["group"].nunique()),
    }  # fmt: skip


def about_vote(
    about: Mapping[str, Any], abouts: Sequence[Mapping[str, Any]], voted: pd.DataFrame | None, metric: str,
    why: str = "the members' trials have no validation photos in common",
) -> dict[str, Any]:  # fmt: skip
    """The submission.json of a soft vote, from that of its first member (`about`) and of all (`abouts`). Its
    validation is the vote's own, or `why` there is none; what the first member promises is named so. Nothing
    is promised if the recipe of any member is changed."""
    own = {name: value for name, value in about.items() if name not in ("promise", OF_NETWORK)}
    named = {BEST_MEMBER: about["promise"]} if "promise" in about else {}
    if changed := next((one["no_promise"] for one in abouts if "no_promise" in one), ""):
        why, named = changed, named | {"no_promise": changed}
    validated = {"validation": vote_scores(voted, why, metric)}
    return own | named | validated | {"vote": "soft", "members": [member_of(one) for one in abouts]}
