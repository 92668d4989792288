"""The score of a submission if the answers are known."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.submission import (
    JSON,
    PREDICTIONS,
    metric_of,
    photo_errors,
    read_about,
    read_answers,
    read_labels,
    read_predictions,
    task_beside,
    whole_number,
)
from analysis.trust.answers import count
from analysis.trust.bootstrap import intervals
from analysis.trust.covered import coverage_lines, not_covered
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.formats.labelled import in_order
from dataset.read import read_eval
from dataset.tables import read_table
from dataset.task import Task
from trial.metrics import DEFAULT, METRICS, column_of, recall_of, score, score_probabilities, title_of
from trial.probabilities import log_given
from trial.run_folder.predictions import probabilities_of

logger = logging.getLogger(__name__)

MAX_LINES = 60  # of classes in a terminal
MAX_WIDTH = 40  # of the column of their names there


def score_submission(submission: Path, answers: Path) -> dict[str, Any]:
    """The scores of a submission against a file of answers, or against a data set whose photos to predict are
    labelled.

    {"macro_f1", "accuracy", "balanced_accuracy", "metric", "score", "interval", "intervals", "photos",
    "rare_name", "recall_rare", "recall": {class: recall}, "not_covered"}. `score` is by the `metric` of the
    recipe in the submission.json, else by macro_f1; None for the log loss without a predictions.csv of the
    same answers. `interval`: {"metric", "low", "high", "of": how many, "by": "people"}, the 95 % interval of
    the score (of the macro-F1 if that is None), by bootstrap over the groups that the answers have in a
    column group, or in one with the task's word; over photos if they have none. `intervals`: {"macro_f1":
    {"low", "high"}, ...}, by every metric. A recall is None for a class without photos. `recall_rare`: the
    fraction of the photos of rare classes that are predicted correctly, None without such photos.
    `not_covered`: `analysis.trust.covered.not_covered` of the answers.

    The classes are those of the submission.json beside the submission; without one, the home task's if all
    answers are its numbers, else the names in both files; a line on stderr says which. UsageError if the
    files are invalid or list different photos.
    """
    about = read_about(submission.parent) or {}
    labelled = _labelled(answers, about) if answers.is_dir() else None
    task = task_beside(submission)
    if task is None:
        task = _task_of_answers(submission, answers, labelled)
    given, errors = read_answers(submission, task)
    if labelled is None:
        truth, more = read_answers(answers, task)
    else:
        truth, more = read_labels(answers, labelled, task)
    if errors or more:
        raise UsageError(errors + more)
    if set(given["ImageID"]) != set(truth["ImageID"]):
        raise UsageError(
            photo_errors(submission, list(given["ImageID"]), list(truth["ImageID"]), str(answers))
        )
    both = truth.merge(given, on="ImageID", suffixes=("_true", "_given"))
    labels, predicted = both["ans_true"].to_numpy(), both["ans_given"].to_numpy()
    scores, metric = score(labels, predicted, task.n_classes), metric_of(about)
    given_log = None
    if metric != "log_loss":
        by_metric = METRICS[metric](scores)
    elif (chances := _probabilities(submission, both["ImageID"], predicted)) is not None:
        by_metric = METRICS[metric](score_probabilities(labels, chances))
        given_log = log_given(chances, labels)
    else:
        by_metric = None
    groups = _groups(answers, labelled, both["ImageID"], task)
    of = DEFAULT if by_metric is None else metric
    recall = {
        name: None if np.isnan(r) else round(float(r), 4)
        for name, r in zip(task.classes, scores.recall, strict=True)
    }
    return {
        "macro_f1": scores.macro_f1, "accuracy": scores.accuracy,
        "balanced_accuracy": METRICS["balanced_accuracy"](scores), "metric": metric,
        "score": by_metric, **_intervals(labels, predicted, groups, given_log, of, task),
        "photos": len(both),
        "rare_name": task.rare_name if task.rare else None,
        "recall_rare": recall_of(task.rare, labels, predicted), "recall": recall,
        "not_covered": not_covered(labels, groups, task),
    }  # fmt: skip


def _groups(answers: Path, labelled: pd.DataFrame | None, photos: pd.Series, task: Task) -> np.ndarray | None:
    """(photos,) the group of each photo by the answers, None if they do not say; a photo without one counts
    as its own."""
    table = read_table(answers, ["ImageID", "ans"], others=True)[0] if labelled is None else labelled
    column = next((name for name in ("group", task.column) if name in table), None)
    if column is None or not table[column][table[column] != ""].duplicated().any():
        return None
    own = table.set_index("ImageID")[column].loc[photos].to_numpy(str)
    return np.where(own == "", np.char.add("photo ", photos.to_numpy(str)), own)


def _intervals(
    labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None, given_log: np.ndarray | None,
    metric: str, task: Task,
) -> dict[str, Any]:  # fmt: skip
    """{"interval": that of the score by `metric`, "intervals": those by all metrics}."""
    each = np.arange(len(labels)) if groups is None else groups
    log = None if given_log is None else given_log[:, None]
    counts = count(labels, predicted[:, None], each, task.n_classes, log)
    known = [name for name in METRICS if name != "log_loss" or log is not None]
    found = {name: intervals(counts, name)[0].limits() for name in known}
    by = "photos" if groups is None else task.groups
    own = {"metric": metric, **found[metric], "of": counts.n_groups, "by": by}
    return {"interval": own, "intervals": {column_of(name): limits for name, limits in found.items()}}


def _probabilities(submission: Path, photos: pd.Series, predicted: np.ndarray) -> np.ndarray | None:
    """The probabilities (photos, classes) in the predictions.csv beside a submission; None if there is none,
    or it has other answers."""
    path = submission.with_name(PREDICTIONS)
    if not path.is_file():
        return None
    table = read_predictions(path).set_index("ImageID")
    if set(photos) != set(table.index):
        return None
    probabilities = probabilities_of(table.loc[photos])
    return probabilities if (probabilities.argmax(1) == predicted).all() else None


def _labelled(data: Path, about: Mapping[str, Any]) -> pd.DataFrame:
    """(ImageID, ans: the name of the class, group if it is known) of the photos to predict of a data set.
    UsageError if they have no labels. `about`: the submission.json, whose recipe, or its first member's, says
    what a group is."""
    first, *_ = about.get("members") or [about]
    table = read_eval(data, (first.get("recipe") or {}).get("group") or "")
    unlabelled = table["photo"] if "class" not in table else table["photo"][table["class"] == ""]
    if len(unlabelled):
        raise UsageError(
            f"{data}: {len(unlabelled):,} of its {len(table):,} photos to predict have no label, first "
            f"{unlabelled.iloc[0]}; give a CSV with ImageID,ans"
        )
    table = table.rename(columns={"photo": "ImageID", "class": "ans"})
    table = table[["ImageID", "ans", *(["group"] if "group" in table else [])]]
    return table.set_axis(pd.RangeIndex(1, len(table) + 1), axis=0)


def _task_of_answers(submission: Path, answers: Path, labelled: pd.DataFrame | None) -> Task:
    """The task of a submission without a submission.json. UsageError if a file can't be read."""
    (given, errors), (truth, more) = (
        read_table(submission, ["ImageID", "ans"]),
        (labelled, []) if labelled is not None else read_table(answers, ["ImageID", "ans"]),
    )
    if given.empty or truth.empty:
        read = ((submission, given, errors), (answers, truth, more))
        empty = [f"{path}: has no rows" for path, table, wrong in read if table.empty and not wrong]
        raise UsageError(errors + more + empty)
    known = set(truth["ans"]) - {""}
    # The home task's photos to predict have no labels in its data folder, so such labels are names.
    if labelled is None and known and {whole_number(name) for name in known} <= set(FACE_MASK.answers):
        logger.warning(
            f"note: no {JSON} beside {submission}: the numbers are taken as the competition's classes"
        )
        return FACE_MASK
    names = in_order(known | set(given["ans"]) - {""})
    logger.warning(
        f"note: no {JSON} beside {submission}: the classes are the {len(names):,} names in the two files, so "
        "the macro-F1 is without classes that neither has"
    )
    return Task("answers", names)


def score_line(scores: Mapping[str, Any]) -> str:
    """The scores of `score_submission` in one line for people."""
    named = {} if scores["score"] is None else {title_of(scores["metric"]): scores["score"]}
    named |= {"macro-F1": scores["macro_f1"], "accuracy": scores["accuracy"]}
    if scores["rare_name"] is None:
        named |= {"balanced accuracy": scores["balanced_accuracy"]}
    line = "  ".join(f"{name} {value:.4f}" for name, value in named.items())
    if scores["rare_name"] is None:
        return line
    rare = scores["recall_rare"]
    return f"{line}  recall of {scores['rare_name']} " + ("(no photos)" if rare is None else f"{rare:.4f}")


def trust_lines(scores: Mapping[str, Any]) -> list[str]:
    """How far the scores of `score_submission` can be believed, in sentences for people."""
    found = scores["interval"]
    lines = [
        f"{title_of(found['metric'])}: 95 % interval {found['low']:.4f} to {found['high']:.4f}, by bootstrap "
        f"over {found['of']:,} {found['by']}"
    ]
    if found["by"] == "photos":
        lines.append(
            "note: the answers do not say which photos are of the same person or thing; if several are, this "
            "interval is too narrow (a column group in the answers says it)"
        )
    return lines + coverage_lines(scores["not_covered"], "the answers")


def recall_lines(scores: Mapping[str, Any]) -> list[str]:
    """A line for the recall of each class, for people; of very many classes, those with the lowest."""
    recalls = list(scores["recall"].items())
    shown = recalls
    if len(recalls) > MAX_LINES:
        known = [(name, recall) for name, recall in recalls if recall is not None]
        shown = sorted(known, key=lambda one: one[1])[: MAX_LINES // 2]
    width = min(MAX_WIDTH, max((24, *(len(name) for name, _ in shown))))
    lines = [
        f"  recall {name:{width}} {'no photos' if recall is None else f'{recall:.3f}'}"
        for name, recall in shown
    ]
    if more := len(recalls) - len(shown):
        lines.append(f"  and {more:,} more classes, with higher recall or no photos; --json prints all")
    return lines
