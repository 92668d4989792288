"""The report of a single run, of a submission by one, and of an ensemble: what their run folders hold."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.bundle import BUNDLE
from analysis.recipes import trial_of
from analysis.report import plots
from analysis.report.checks import Check, checks_of, ways_of
from analysis.report.classes import classes_of
from analysis.report.damaged import read_or_note
from analysis.report.lineage import commands_of_run, lineage_of
from analysis.report.mistakes import photos_of
from analysis.report.page import write_page
from analysis.report.run_facts import (
    Fact,
    alarms_of,
    answer_of,
    how_trained,
    member_facts,
    origin_facts,
    scores,
)
from analysis.report.tables import side_by_side, submission_facts
from analysis.submission import CSV, metric_of
from analysis.trials.flatten import flat, flat_alike
from analysis.trials.unfinished import how_far, unfinished
from analysis.trust.answers import validation_of
from common.errors import UsageError
from common.text import path_text
from trial.metrics import DEFAULT
from trial.run_folder.record import EPOCHS, VALIDATION, RunFolder


def write_run_report(
    out: Path, run: Path, about: Mapping[str, Any] | None = None, checks: Sequence[Check] = (),
    bundled: bool = False,
) -> Path:  # fmt: skip
    """Write the page `out` on the run folder `run`; with `about` (the content of its submission.json), on its
    submission. `checks`: what audits and an ensemble found; `bundled`: a bundle of the submission will lie
    beside it, if there is none yet.

    If `about` names the trial whose recipe was retrained into `run`, and that run folder still holds it, its
    curve and validation are shown as another network's. UsageError if `run` has no config.json.
    """
    folder = RunFolder(run)
    try:
        config = folder.config()
    except FileNotFoundError:
        state = unfinished(run)
        why = f"; its state: {how_far(state)}" if state else ""
        raise UsageError(f"{run}: has no config.json, so there is nothing to report{why}") from None
    task = folder.task()
    trial, why = trial_of(run, about or {})
    before = RunFolder(trial) if trial else None
    damaged: list[str] = [f"Its validation and curve are not shown: {why}."] if why else []
    shown, whose, own = _validation(folder, before, damaged)
    curves = [_curve(folder, "This run", damaged)]
    if before is not None:
        curves.append(_curve(before, "The trial whose recipe this is", damaged))
    recipe = flat(config)
    judged = folder if own else before if shown is not None else None
    submission = (
        next((place for place in (out.parent, run) if (place / CSV).is_file()), None) if about else None
    )
    bundled = submission is not None and (bundled or (submission / BUNDLE).is_file())
    return _write(
        out,
        "Submission report" if about else "Run report",
        config.model,
        f"{how_trained(folder, config)} Run folder: {run}.",
        [*alarms_of(run, about), *damaged],
        scores(shown, "" if own else " (of the trial, not of this network)", about, task, config.metric),
        whose,
        classes_of(shown, task, photos_of(folder if own or before is None else before)),
        {"titles": [""], **side_by_side([recipe], list(recipe))},
        about,
        curves=[curve for curve in curves if curve],
        origin=origin_facts(folder),
        answer=answer_of(folder, about, submission, config.metric),
        lineage=lineage_of(folder, about=about),
        commands=commands_of_run(folder, submission, bundled),
        **checks_of(checks, judged, shlex.quote(path_text(run))),
    )


def write_vote_report(
    out: Path, runs: Sequence[Path], about: Mapping[str, Any], voted: pd.DataFrame | None, name: str
) -> Path:
    """Write the page `out` on an ensemble of the run folders `runs`. `voted`: the vote's probabilities for
    the validation photos that all members share (photo, group, label, p00, ...), None if they share none."""
    recipes = flat_alike([RunFolder(run).config() for run in runs])
    names = list(dict.fromkeys(name for recipe in recipes for name in recipe))
    titles = [str(number) for number in range(1, len(runs) + 1)]
    task = RunFolder(runs[0]).task()
    whose = (
        f"No member was trained on these {task.groups}." if voted is not None
        else f"The vote itself was not validated: {about['validation'].get('none', '')}"
    )  # fmt: skip
    return _write(
        out,
        "Ensemble report",
        name,
        f"The vote of {len(runs)} networks. {'' if voted is not None else whose + '.'}",
        alarms_of(None, about),
        scores(voted, "", about, task, metric_of(about)),
        whose,
        classes_of(voted, task, photos_of(RunFolder(runs[0]))),
        {"titles": titles, **side_by_side(recipes, names)},
        about,
        members=[member_facts(member, metric_of(about)) for member in about["members"]],
        ways=ways_of(about),
    )


def _write(
    out: Path, kicker: str, name: str, words: str, alarms: list[str], facts: list[Fact],
    whose: str, facts_of_classes: Mapping[str, Any], recipe: Mapping[str, Any],
    submission: Mapping[str, Any] | None, **more: Any,
) -> Path:  # fmt: skip
    parts = {
        "result": "Result",
        "members": "Members" if more.get("members") else "",
        "curves": "Learning curves" if more.get("curves") else "",
        "classes": "Validation" if facts_of_classes["classes"] is not None else "",
        "checks": "Checks" if more.get("checks") or more.get("unchecked") else "",
        "recipe": "Recipes" if len(recipe["titles"]) > 1 else "Recipe",
        "submission": "Submission" if submission else "",
        "origin": "" if submission else "Origin",
    }
    nothing: dict[str, Any] = {
        "answer": "", "members": [], "ways": None, "curves": [], "origin": [], "lineage": [], "commands": [],
        **checks_of((), None, ""),
    }  # fmt: skip
    return write_page(
        out,
        "run.html.j2",
        kicker=kicker,
        name=name,
        words=words,
        sections=[(part, title) for part, title in parts.items() if title],
        alarms=alarms,
        facts=facts,
        whose=whose,
        recipe=recipe,
        submission=submission_facts(submission) if submission else None,
        **nothing | more,
        **facts_of_classes,
    )


def _validation(
    run: RunFolder, before: RunFolder | None, damaged: list[str]
) -> tuple[pd.DataFrame | None, str, bool]:
    """(validation table, a sentence on whose photos these are, whether this run was validated on them)."""
    groups = run.task().groups
    if (own := _read(run, damaged)) is not None:
        config = run.config()
        if config.fold == "all":
            done = own["fold"].nunique()
            all_of = (
                f"All {groups}"
                if done == config.folds
                else f"{groups.capitalize()} of {done} of {config.folds} folds"
            )
            return own, f"{all_of}, each predicted by the network of the fold that did not see them.", True
        return (
            own,
            f"{groups.capitalize()} held out of this run's training: fold {config.fold} of {config.folds}.",
            True,
        )
    if before is not None and (theirs := _read(before, damaged)) is not None:
        words = (
            f"Validation {groups} of the trial whose recipe this is, predicted by that trial's network. The "
            f"network of this run was trained on these {groups} too, so it has no such score."
        )
        return theirs, words, False
    return None, "", False


def _read(run: RunFolder, damaged: list[str]) -> pd.DataFrame | None:
    return read_or_note(partial(validation_of, run.folder), run.folder / VALIDATION, damaged)


def _curve(run: RunFolder, title: str, damaged: list[str]) -> dict[str, Any] | None:
    epochs = read_or_note(run.curve, run.folder / EPOCHS, damaged)
    if epochs is None or len(epochs) < 2:  # one epoch is no curve
        return None
    metric = run.status().get("metric", DEFAULT)
    validated = "macro_f1" in epochs and epochs["macro_f1"].notna().any()
    words = "After each epoch" + (", the mean over the folds." if _folds(run) > 1 else ".")
    words += (
        ""
        if validated
        else f" There are no validation {run.task().groups}: the run was trained on all of them."
    )
    has_scores = validated or "train_accuracy" in epochs
    return {
        "title": title, "words": words, "losses": plots.losses(epochs, metric),
        "scores": plots.scores_by_epoch(epochs, metric) if has_scores else None,
    }  # fmt: skip


def _folds(run: RunFolder) -> int:
    epochs = run.epochs()
    return int(epochs["fold"].nunique()) if "fold" in epochs else 1
