"""Several runs -> one submission, by vote."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from analysis.predict.trained import Trained, load, other_classes
from analysis.predict.tta import refuse
from analysis.predict.validation import predict_validation
from analysis.predict.vote import VOTES, Vote
from analysis.report.run import write_vote_report
from analysis.submission import CSV, metric_of, taken_back
from analysis.submit import REPORT, about_kept, group_of, member_of, submit
from analysis.trials.runs import is_run, sorted_in
from analysis.trials.unfinished import unfinished, weights_words
from analysis.trust.answers import answers_of, validation_of
from analysis.trust.bootstrap import interval_of
from common.errors import UsageError, all_at_once, first_line, unknown
from common.files import is_taken, only_writer_of_out
from dataset.read import read_eval
from dataset.task import Task
from trial.metrics import DEFAULT, METRICS, column_of, scores_text
from trial.origin import code, versions
from trial.record import RunFolder, probabilities_of, probability_columns, scores_of


@only_writer_of_out
def ensemble(
    runs: Sequence[Path],
    data: Path,
    out: Path,
    vote: str = "soft",
    tta: str = "none",
    temperature: float = 1.0,
) -> Path:
    """Write OUT/submission.csv of the run folders' vote, with submission.json and report.html. Return its
    path.

    A folder that export-best-and-retrain wrote stands for the runs in its best/. `vote`: a name in
    predict/vote.py; `tta`: a name in predict/tta.py. UsageError, before the first prediction, for everything
    that can be refused.
    """
    runs = [run for folder in runs for run in _members_in(folder)]
    _, _, photos, *networks = all_at_once(
        lambda: _refuse(runs, out, vote),
        lambda: refuse(tta, temperature),
        lambda: read_eval(data, group_of(runs[0])),
        *(partial(load, run) for run in runs),
    )
    if errors := _class_errors(runs, networks):
        raise UsageError(errors)
    names = ["/".join(run.parts[-3:]) if run.parent.name == "best" else run.name for run in runs]
    members = [{"run": name, **member_of(about_kept(run)), "unfinished": unfinished(run)}
               for name, run in zip(names, runs, strict=True)]  # fmt: skip
    if note := other_data(members):
        print(note, flush=True)
    for member in members:
        if state := member["unfinished"]:
            print(weights_words(state), flush=True)
    voted, why = vote_of_validation(
        runs, VOTES[vote], lambda run: own_predictions(run, networks[runs.index(run)], data, tta, temperature)
    )
    metric = metric_of({"members": members})
    validated = vote_scores(voted, why, networks[0].task, metric)
    predictions = []
    for number, (run, trained) in enumerate(zip(runs, networks, strict=True), start=1):
        print(f"run {number} of {len(runs)}: {run}", flush=True)
        predictions.append(trained.predict(photos, tta, temperature))
    about = {
        "vote": vote, "tta": tta, "temperature": temperature, "members": members,
        "validation": validated, "code": code(), "versions": versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }  # fmt: skip
    print(f"validation of the vote: {_words(validated, metric)}", flush=True)
    with taken_back(out, REPORT):
        about = submit(out, photos, VOTES[vote](predictions), about, runs)
        write_vote_report(out / REPORT, runs, about, voted, f"{vote} vote of {len(runs)}")
    return out / CSV


def _members_in(folder: Path) -> list[Path]:
    """The run folders that an argument stands for: itself, or all in its best/. Incomplete ones are included
    (and refused later): silently leaving one out would make another ensemble than the one asked for."""
    return ([] if is_run(folder) else sorted_in(folder / "best")) or [folder]


def vote_of_validation(
    runs: Sequence[Path], vote: Vote, answers_of: Callable[[Path], pd.DataFrame]
) -> tuple[pd.DataFrame | None, str]:
    """(The runs' vote on their validation photos (photo, group, label, p00, ...), "") or (None, why not).
    `answers_of` gives a run's own table of these columns. No network was trained on these groups."""
    task = RunFolder(runs[0]).task()
    for run in runs:
        if not (run / "validation.parquet").exists():
            return None, f"{run.name} has no validation.parquet (trained on all {task.groups}?)"
    try:
        tables = [answers_of(run).sort_values("photo", ignore_index=True) for run in runs]
    except (ValueError, UsageError) as error:
        return None, first_line(error)
    first, known = tables[0], ["photo", "group", "label"]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        if not table[known].equals(first[known]):
            other = "labels" if table["photo"].equals(first["photo"]) else task.groups
            return None, f"{run.name} was validated on other {other} than {runs[0].name}"
    voted = vote([probabilities_of(table) for table in tables])
    return first[known].join(pd.DataFrame(voted, columns=probability_columns(task.n_classes))), ""


def vote_scores(voted: pd.DataFrame | None, why: str, task: Task, metric: str = DEFAULT) -> dict[str, Any]:
    """{"macro_f1", "accuracy", the score by `metric`, its interval's "low" and "high", "photos", the number
    of groups by the task's word} of `vote_of_validation`, or {"none": why}."""
    if voted is None:
        return {"none": why}
    scores = scores_of(voted)
    limits = interval_of(answers_of(voted, "the vote"), metric).limits()
    return {
        "macro_f1": scores.macro_f1, "accuracy": scores.accuracy,
        column_of(metric): METRICS[metric](scores), **limits, "photos": len(voted),
        task.groups: int(voted["group"].nunique()),
    }  # fmt: skip


def other_data(members: Sequence[dict[str, Any]]) -> str:
    """The sentence that names the members trained on other photos than the first; '' if there are none."""
    first, *others = members
    differing = [member["run"] for member in others
                 if member["data_fingerprint"] != first["data_fingerprint"]]  # fmt: skip
    if not differing:
        return ""
    return f"note: {', '.join(differing)}: trained on other photos than {first['run']} (or they have changed)"


def _refuse(runs: Sequence[Path], out: Path, vote: str) -> None:
    errors = []
    if len(runs) < 2:
        errors.append(
            f"an ensemble needs 2 runs or more, not {len(runs)}; for one: python -m analysis predict"
        )
    resolved = [run.resolve() for run in runs]
    repeated = sorted({str(run) for run in runs if resolved.count(run.resolve()) > 1})
    if repeated:
        errors.append(f"the same run is given twice: {', '.join(repeated)}")
    if vote not in VOTES:
        errors.append(unknown("--vote", vote, VOTES))
    if is_taken(out):
        errors.append(f"{out} already exists; give a new or empty folder as --out")
    if errors:
        raise UsageError(errors)


def _class_errors(runs: Sequence[Path], networks: Sequence[Trained]) -> list[str]:
    """[The message on runs with other classes than the first], [] if there are none."""
    first, *others = networks
    for run, other in zip(runs[1:], others, strict=True):
        if words := other_classes(other.task, first.task):
            return [f"{run}: predicts {words} than {runs[0]}; only runs of the same classes can vote"]
    return []


def own_predictions(run: Path, trained: Trained, data: Path, tta: str, temperature: float) -> pd.DataFrame:
    """The run's probabilities for its validation photos (photo, group, fold, label, p00, ...), computed with
    the TTA and the temperature of the submission."""
    if tta != "none":
        return predict_validation(run, trained, data, tta, temperature)
    table = validation_of(run)
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        logits = np.log(probabilities_of(table).astype(np.float64))  # up to a constant
    table[probability_columns(logits.shape[1])] = softmax(logits / temperature, axis=1)
    return table


def _words(validation: dict[str, Any], metric: str) -> str:
    if "none" in validation:
        return f"none, as {validation['none']}"
    score, macro_f1 = validation[column_of(metric)], validation["macro_f1"]
    return scores_text(metric, score, macro_f1, validation["accuracy"], ", ")
