"""The submission's files, written and read back: submission.csv (checked against the photos to predict),
predictions.csv, submission.json; and the score of a submission if the answers are known."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UsageError, unknown
from common.files import write_atomic, write_json
from common.text import lines_text
from dataset.face_masks.labels import FACE_MASK
from dataset.formats.labelled import few, in_order
from dataset.read import read_eval
from dataset.tables import read_table
from dataset.task import Task
from trial.metrics import DEFAULT, METRICS, recall_of, score, score_probabilities, title_of
from trial.record import IS_PROBABILITY, probabilities_of, probability_columns

CSV, JSON, PREDICTIONS = "submission.csv", "submission.json", "predictions.csv"
MAX_LINES = 60  # of classes in a terminal
MAX_WIDTH = 40  # of the column of their names there


def refuse_overwriting(out: Path, *more: str) -> None:
    """`refuse_existing` of a submission's files and of `more`."""
    refuse_existing(out, CSV, JSON, PREDICTIONS, *more)


def refuse_existing(out: Path, *names: str) -> None:
    """UsageError if `out` is a file or holds one of the files `names`: nothing is ever overwritten."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder as --out")
    existing = [out / name for name in names if (out / name).exists()]
    if existing:
        raise UsageError(f"{existing[0]} already exists; give another --out, or move it away")


def write_submission(
    out: Path, photos: list[str], probabilities: np.ndarray, about: dict[str, Any], task: Task
) -> Path:
    """Write submission.csv (ImageID, ans: `task.answers`) of `probabilities` (photos, classes), in the order
    of `photos`, with predictions.csv (ImageID, ans: the name of the class, p00, p01, ...) and submission.json
    (`about`, and the task) beside it. Return its path.

    The file is read back and checked. UsageError if one of the files exists, or probabilities are not finite.
    """
    refuse_overwriting(out)
    if probabilities.shape != (len(photos), task.n_classes):
        raise ValueError(f"probabilities {probabilities.shape} for {len(photos)} photos")
    if (lost := ~np.isfinite(probabilities).all(1)).any():
        raise UsageError(
            f"{out}: {lost.sum()} of {len(photos)} photos have probabilities that are not finite, first "
            f"{photos[lost.argmax()]}; nothing is written"
        )
    out.mkdir(parents=True, exist_ok=True)
    labels = probabilities.argmax(1)
    table = pd.DataFrame({"ImageID": photos, "ans": [task.answers[label] for label in labels]})
    named = table.assign(ans=[task.classes[label] for label in labels])
    whole = named.join(pd.DataFrame(probabilities, columns=probability_columns(task.n_classes)))
    # The submission is written last: once it exists, so do the files beside it.
    write_atomic(out / PREDICTIONS, lambda part: whole.to_csv(part, index=False))
    write_json(out / JSON, about | {"task": task.to_json(), "photos": len(photos)})
    path = write_atomic(out / CSV, lambda part: table.to_csv(part, index=False))
    if errors := submission_errors(path, photos, task):
        raise AssertionError("\n".join(errors))
    return path


def read_about(folder: Path) -> dict[str, Any] | None:
    """The content of a folder's submission.json, None if there is none. UsageError if it is damaged."""
    try:
        read = json.loads((folder / JSON).read_text())
        if not isinstance(read, dict):
            raise ValueError("it is not a JSON object")
        return read
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UsageError(f"{folder / JSON}: is damaged ({error})") from None


def task_beside(path: Path) -> Task | None:
    """The task in the submission.json beside a file; None if there is none. That of versions that did not
    record it is the home task."""
    about = read_about(path.parent)
    if about is None or "task" not in about:
        return None if about is None else FACE_MASK
    try:
        return Task.from_json(about["task"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path.parent / JSON}: its task is damaged ({error!r})") from None


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.csv: ImageID, ans (the name of the class), p00, p01, ...; UsageError if it is damaged.

    The names are those of the submission.json beside it. Earlier versions wrote the home task's numbers.
    """
    task = task_beside(path)
    table, errors = read_table(path, ["ImageID", "ans"], others=True)
    found = [name for name in table if IS_PROBABILITY.fullmatch(name)]
    columns = probability_columns(task.n_classes if task else len(found))
    if not errors and found != columns:
        lacking = [name for name in columns if name not in found] or [f"p{len(columns):02d}"]
        errors = [f"{path}: no column {lacking[0]!r}; {columns[0]} to {columns[-1]} are wanted, in this order"
                  if found else f"{path}: no columns of probabilities (p00, p01, ...)"]  # fmt: skip
    if not errors and task is None and len(columns) == FACE_MASK.n_classes:
        task = FACE_MASK if set(table["ans"]) <= set(FACE_MASK.answers) else None
    labels, wrong = _read_labels(path, table, task) if not errors else (table, [])
    errors += wrong
    if not errors:
        table[columns] = table[columns].apply(pd.to_numeric, errors="coerce")
        values = table[columns].to_numpy(float)
        bad = ~np.isfinite(values).all(1) | (values < 0).any(1) | (abs(values.sum(1) - 1) > 1e-3)
        if bad.any():
            who = table["ImageID"].iloc[bad.argmax()]
            errors = [
                f"{path}: the probabilities of {who} are not {len(columns)} numbers from 0 to 1 that sum to 1"
            ]
    if errors:
        raise UsageError(errors)
    names = table["ans"] if task is None else [task.classes[label] for label in labels["ans"]]
    return table[["ImageID", "ans", *columns]].assign(ans=names).reset_index(drop=True)


def submission_errors(
    path: Path, photos: Sequence[str], task: Task, of: str = "the photos to predict"
) -> list[str]:
    """Errors of a submission for `photos` (its ImageIDs, in order), which are `of`; [] if it is valid."""
    table, errors = read_answers(path, task)
    return errors or _photo_errors(path, list(table["ImageID"]), list(photos), of)


def _photo_errors(path: Path, given: list[str], photos: list[str], of: str) -> list[str]:
    if given == photos:
        return []
    missing, extra = sorted(set(photos) - set(given)), sorted(set(given) - set(photos))
    few = f"missing {missing[:3]}, unknown {extra[:3]}" if missing or extra else "another order"
    return [f"{path}: ImageID differs from {of} ({len(missing)} missing, {len(extra)} unknown: {few})"]


def read_answers(path: Path, task: Task) -> tuple[pd.DataFrame, list[str]]:
    """The table (ImageID, ans: the label) of a submission or answers file, and its errors. A class may be
    given by its answer (the competition's number) or by its name."""
    table, errors = read_table(path, ["ImageID", "ans"])
    labels, more = _read_labels(path, table, task)
    return labels, errors + (more if not table.empty or not errors else [])


def _read_labels(path: Path, table: pd.DataFrame, task: Task | None) -> tuple[pd.DataFrame, list[str]]:
    """`table` (ImageID, ans, as text, by line) with labels as ans, and its errors; as it is without task."""
    if table.empty:
        return table, [f"{path}: has no rows"]
    errors = []
    if (repeated := table["ImageID"].duplicated()).any():
        errors.append(f"{path}: ImageID {table['ImageID'][repeated].iloc[0]} is duplicated")
    if task is None:
        return table, errors
    known = {name: label for names in (task.classes, task.answers) for label, name in enumerate(names)}
    known |= {
        name: known[number] for name in set(table["ans"]) - set(known) if (number := _integer(name)) in known
    }
    wrong = table[~table["ans"].isin(known)]
    if _numbered(task) and len(wrong):
        lines = lines_text(list(wrong.index))
        errors.append(f"{path} {lines}: column ans must hold integers from 0 to {task.n_classes - 1}")
    elif len(wrong) == len(table) > 1 and "" not in set(wrong["ans"]):
        errors.append(
            f"{path}: its classes ({few(in_order(wrong['ans']), 3)}) are none of the task's "
            f"({few(task.classes, 3)}); is it of another task?"
        )
    elif len(wrong):
        for name, lines in wrong.groupby("ans", sort=False).groups.items():
            why = unknown("class", name, task.classes) if name else "no class"
            errors.append(f"{path} {lines_text(list(lines))}: {why}")
    if len(wrong):
        return table, errors
    return table.assign(ans=table["ans"].map(known).astype(int)).reset_index(drop=True), errors


def _numbered(task: Task) -> bool:
    """Whether submissions give the labels' numbers."""
    return task.answers == tuple(map(str, range(task.n_classes)))


def _integer(text: str) -> str:
    """An integer as it is usually written: 3 for 03, 3.0 and 3."""
    try:
        return f"{float(text):.0f}" if float(text).is_integer() else text
    except ValueError:
        return text


def score_submission(submission: Path, answers: Path) -> dict[str, Any]:
    """The scores of a submission against a file of answers, or against a data set whose photos to predict are
    labelled.

    {"macro_f1", "accuracy", "balanced_accuracy", "metric", "score", "photos", "rare_name", "recall_rare",
    "recall": {class: recall}}. `score` is by the `metric` of the recipe in the submission.json, else by
    macro_f1; None for the log loss without a predictions.csv of the same answers. A recall is None for a
    class without photos. `recall_rare`: the fraction of the photos of rare classes that are predicted
    correctly, None without such photos. The classes are those of the submission.json beside the submission;
    without one, the home task's if all answers are its numbers, else the names in both files, which a line on
    stderr says. UsageError if the files are invalid or list different photos.
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
        truth, more = _read_labels(answers, labelled, task)
    if errors or more:
        raise UsageError(errors + more)
    if set(given["ImageID"]) != set(truth["ImageID"]):
        raise UsageError(
            _photo_errors(submission, list(given["ImageID"]), list(truth["ImageID"]), str(answers))
        )
    both = truth.merge(given, on="ImageID", suffixes=("_true", "_given"))
    labels, predicted = both["ans_true"].to_numpy(), both["ans_given"].to_numpy()
    scores, metric = score(labels, predicted, task.n_classes), metric_of(about)
    if metric != "log_loss":
        by_metric = METRICS[metric](scores)
    elif (chances := _probabilities(submission, both["ImageID"], predicted)) is not None:
        by_metric = METRICS[metric](score_probabilities(labels, chances))
    else:
        by_metric = None
    recall = {
        name: None if np.isnan(r) else round(float(r), 4)
        for name, r in zip(task.classes, scores.recall, strict=True)
    }
    return {
        "macro_f1": scores.macro_f1, "accuracy": scores.accuracy,
        "balanced_accuracy": METRICS["balanced_accuracy"](scores), "metric": metric,
        "score": by_metric,
        "photos": len(both),
        "rare_name": task.rare_name if task.rare else None,
        "recall_rare": recall_of(task.rare, labels, predicted), "recall": recall,
    }  # fmt: skip


def metric_of(about: Mapping[str, Any]) -> str:
    """The metric of the recipe, or of all members' recipes, in a submission.json; macro_f1 if they differ or
    there is none."""
    voters = about.get("members") or [about]
    found = {(voter.get("recipe") or {}).get("metric", DEFAULT) for voter in voters}
    return next(iter(found)) if len(found) == 1 and found <= METRICS.keys() else DEFAULT


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
    """(ImageID, ans: the name of the class) of the photos to predict of a data set. UsageError if they have
    no labels. `about`: the submission.json, whose recipe says what a group is."""
    table = read_eval(data, (about.get("recipe") or {}).get("group") or "")
    unlabelled = table["photo"] if "class" not in table else table["photo"][table["class"] == ""]
    if len(unlabelled):
        raise UsageError(
            f"{data}: {len(unlabelled):,} of its {len(table):,} photos to predict have no label, first "
            f"{unlabelled.iloc[0]}; give a CSV with ImageID,ans"
        )
    table = table.rename(columns={"photo": "ImageID", "class": "ans"})[["ImageID", "ans"]]
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
    if labelled is None and known and {_integer(name) for name in known} <= set(FACE_MASK.answers):
        return FACE_MASK
    names = in_order(known | set(given["ans"]) - {""})
    print(
        f"note: no {JSON} beside {submission}: the classes are the {len(names):,} names in the two files, so "
        "the macro-F1 is without classes that neither has",
        file=sys.stderr, flush=True,
    )  # fmt: skip
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
