"""The words and numbers of a run's or a submission's report, without its figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report.page import score_text
from analysis.report.tables import STATES
from analysis.submission import CSV
from analysis.trials.runs import origin_or_empty
from analysis.trials.table import SOUP, mean_words
from analysis.trials.unfinished import how_far, unfinished
from analysis.trust.answers import answers_of
from analysis.trust.bootstrap import interval_of
from analysis.trust.leaders import promise_facts, promised_words
from common.errors import UsageError
from common.text import fixed_text, path_text, value_text
from dataset.task import Task
from trial.config import TrialConfig
from trial.metrics import METRICS, column_of, recall_of, title_of
from trial.run_folder.predictions import probabilities_of, scores_of
from trial.run_folder.record import RunFolder

Fact = dict[str, str]


def how_trained(run: RunFolder, config: TrialConfig) -> str:
    """A sentence on the groups, the epochs and the state of a run; of a soup, which was not trained, on what
    it is."""
    status = run.status()
    if members := origin_or_empty(run).get(SOUP):
        held_out = "all folds" if config.fold == "all" else f"fold {config.fold} of {config.folds}"
        words = mean_words(members)
        return f"{words[:1].upper()}{words[1:]}, validated on {held_out}."
    if status.get("macro_f1") is not None:
        folds = f"fold {config.fold} of" if config.fold != "all" else "all"
        how = f"A trial of {folds} {config.folds}{' folds' if config.fold == 'all' else ''}"
    else:
        how = (
            f"Trained on all {run.task().groups}, with none held out"
            if status["state"] == "done"
            else "A run"
        )
    state = STATES.get(status["state"], status["state"])
    epochs, seconds = status.get("epochs") or 0, status.get("seconds") or 0
    return f"{how}; {state} after {epochs} of {config.epochs} epochs and {seconds:,.0f} s."


def answer_of(run: RunFolder, about: Mapping[str, Any] | None, submission: Path | None, metric: str) -> str:
    """What a run, or the recipe of a submission's network, promises on new groups; '' if nothing."""
    kept = about if about else promise_facts(run.folder, metric)
    promise = kept.get("promise")
    if not promise or column_of(metric) not in promise:
        return ""
    whose = "The recipe of this network" if about and about.get("trial_folder") else "This run"
    place = f" Its submission: {path_text(submission / CSV)}." if submission else ""
    searched_on = (about or {}).get("searched_on")
    apart = searched_on not in (None, kept.get("data_fingerprint"))
    where = " It was validated on other photos than it is trained on, or these have changed since."
    words = promised_words(promise, metric, run.task().groups)
    return f"{whose} promises {words}.{where if apart else ''}{place}"


def scores(
    validation: pd.DataFrame | None, note: str, about: Mapping[str, Any] | None, task: Task, metric: str
) -> list[Fact]:
    """The numbers at the top: the scores of a validation table (with a `note` on whose it is), that by
    `metric` first, else those in submission.json; then the number of predictions."""
    facts = []
    first, column = f"Validation {title_of(metric)}", column_of(metric)
    others = [
        (name, title)
        for name, title in (("macro_f1", "Macro-F1"), ("accuracy", "Accuracy"))
        if name != metric
    ]
    kept = (about or {}).get("validation") or {}
    if validation is not None and not validation.empty:
        found, labels = scores_of(validation), validation["label"].to_numpy()
        whose = "" if task.group == "photo" else f"{validation['group'].nunique():,} {task.groups}, "
        whose += f"{len(validation):,} photos{note}"
        facts = [
            _fact("best", first, score_text(METRICS[metric](found)), whose + _limits(validation, metric))
        ]
        facts += [
            _fact("", title, score_text(METRICS[name](found)), "of the same photos") for name, title in others
        ]
        if task.rare:
            recall = recall_of(task.rare, labels, probabilities_of(validation).argmax(1))
            facts.append(_fact("", f"Recall of {task.rare_name}", score_text(recall), "of the same photos"))
    elif kept.get(column) is not None:
        of = "of the trial whose recipe this is"
        facts.append(_fact("best", first, score_text(kept[column]), of))
        facts += [
            _fact("", title, score_text(kept[name]), of)
            for name, title in others
            if kept.get(name) is not None
        ]
    if about and (answers := about.get("answers")):
        photos, classes = sum(row["photos"] for row in answers), sum(row["photos"] > 0 for row in answers)
        role = "alarm" if about.get("warnings") else ""
        facts.append(
            _fact(
                role,
                "Photos predicted",
                f"{photos:,}",
                f"{classes:,} of {task.n_classes:,} classes predicted",
            )
        )
    return facts


def _limits(validation: pd.DataFrame, metric: str) -> str:
    """'; 95 %: 0.456 to 0.961', '' if the table can't be right."""
    try:
        found = interval_of(answers_of(validation, "validation"), metric)
    except UsageError:
        return ""
    return f"; 95 %: {fixed_text(found.low)} to {fixed_text(found.high)}"


def alarms_of(run: Path | None, about: Mapping[str, Any] | None) -> list[str]:
    """Warnings as sentences: an unfinished run, recipe or member, a collapsed submission."""
    about, found = about or {}, []
    if run is not None and (state := unfinished(run)):
        found.append(f"The run is not finished: {how_far(state)}.")
    if state := about.get("recipe_from_unfinished"):
        found.append(f"The recipe is from a run that is not finished: {how_far(state)}.")
    if words := about.get("no_promise"):
        found.append(f"Nothing is promised: {words}.")
    for member in about.get("members", []):
        if state := member.get("unfinished"):
            found.append(f"The member {member['run']} is not finished: {how_far(state)}.")
    return found + [words[:1].upper() + words[1:] + "." for words in about.get("warnings", [])]


def member_facts(member: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A row of the ensemble's table. `metric`: of the vote."""
    kept, state = member.get("validation") or {}, member.get("unfinished")
    return {
        "run": member["run"], "model": member["recipe"]["model"],
        "metric": title_of(metric), "score": kept.get(column_of(metric)),
        "best_epoch": kept.get("best_epoch"), "state": how_far(state) if state else "finished",
        "data": str(member["data_fingerprint"])[:12],
    }  # fmt: skip


def origin_facts(run: RunFolder) -> list[tuple[str, str]]:
    """(key, text) of origin.json, with one level of nested keys; [] if it can't be read."""
    facts = []
    for key, value in origin_or_empty(run).items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        facts += [(f"{key} · {part}" if part else key, value_text(text)) for part, text in parts]
    return [(key.replace("_", " "), text) for key, text in facts]


def _fact(role: str, title: str, text: str, words: str) -> Fact:
    return {"role": role, "title": title, "text": text, "words": words}
