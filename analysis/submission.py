"""The submission's files, written and read back: submission.csv (checked against the photos to predict),
predictions.csv, submission.json."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UsageError, unknown
from common.files import read_object, write_atomic, write_json
from common.text import cell, few, from_cell, lines_text
from dataset.face_masks.labels import FACE_MASK
from dataset.formats.labelled import in_order
from dataset.tables import read_table
from dataset.task import Task
from trial.metrics import DEFAULT, METRICS
from trial.probabilities import not_probabilities
from trial.run_folder.predictions import IS_PROBABILITY, probability_columns

logger = logging.getLogger(__name__)
CSV, JSON, PREDICTIONS = "submission.csv", "submission.json", "predictions.csv"
SUBMISSION = (CSV, JSON, PREDICTIONS)
BEST_MEMBER = "promise_of_best_member"  # in the JSON of a vote, which has no promise of its own
UNFINISHED = ".unfinished.json"  # a note in a folder into which a command is writing
# A half-written file (common/files.py), removed by the next that writes it.
IS_PART = re.compile(r"\..*\.part")


def refuse_overwriting(out: Path, *more: str) -> None:
    """`refuse_existing` of a submission's files and of `more`."""
    refuse_existing(out, *SUBMISSION, *more)


def refuse_existing(out: Path, *names: str) -> None:
    """UsageError if `out` is a file or holds one of the files `names`, but for those that a killed command
    left: nothing else is ever overwritten."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder as --out")
    note = _left_in(out)
    left = [*note.get("files", ()), *note.get("folders", ())]
    existing = [out / name for name in names if name not in left and (out / name).exists()]
    if existing:
        raise UsageError(f"{existing[0]} already exists; give another --out, or move it away")


def is_taken_by_others(out: Path) -> bool:
    """Whether `out` is a file or holds anything but what a killed command left of its own."""
    if not out.is_dir():
        return out.exists()
    mine = {UNFINISHED, *_left_in(out).get("files", ())}
    return any(path.name not in mine and not IS_PART.fullmatch(path.name) for path in out.iterdir())


@contextmanager
def writing(
    out: Path, files: Iterable[str], what: Mapping[str, Any] | None = None, folders: Iterable[str] = ()
) -> Iterator[bool]:
    """Within the block a command writes `files` into `out`, and a note there says so. If it is killed the
    note stays, and the next command removes what it left of them. If the block fails they are removed at
    once: the next try is not refused by what a full disk left.

    `what` is made, as JSON. After a kill, or a failure, the next command that makes the same gets True, and
    may use what else lies in `out` and in its `folders`: networks that were trained. Another one is refused
    if these folders exist.
    """
    left, made = _left_in(out), _plain(what)
    same = is_left_of(out, what)
    folders = [*folders]
    if not same and (existing := [out / name for name in folders if (out / name).exists()]):
        whose = "is of another, unfinished command" if left else "already exists"
        raise UsageError(f"{existing[0]} {whose}; give another --out, or move it away")
    note = {"files": [*files], "folders": folders, "what": made}
    _remove(out, left.get("files", ()))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / UNFINISHED, note)
    try:
        yield same
    except BaseException as error:
        begun = same or any((out / name).exists() for name in folders)
        goes_on = made and (begun or not isinstance(error, UsageError))
        _remove(out, [*note["files"], *([] if goes_on else [UNFINISHED])])
        if goes_on and isinstance(error, KeyboardInterrupt):
            logger.warning(f"to go on: the same command again; {out} keeps what is trained")
        raise
    _remove(out, [UNFINISHED])


def is_left_of(out: Path, what: Mapping[str, Any] | None) -> bool:
    """Whether `out` is as a command left it that was killed while it made the same."""
    return bool(what) and _left_in(out).get("what") == _plain(what)


def _plain(what: Mapping[str, Any] | None) -> Any:
    return json.loads(json.dumps(what or {}))


def _remove(out: Path, files: Iterable[str]) -> None:
    for name in files:
        (out / name).unlink(missing_ok=True)


def _left_in(out: Path) -> dict[str, Any]:
    """The note of a command that was killed while it wrote into `out`; {} if there was none."""
    try:
        note = read_object(out / UNFINISHED, {"files": (list,), "folders": (list,), "what": (dict,)})
    except FileNotFoundError:
        return {}
    if any(Path(str(name)).is_absolute() or ".." in Path(str(name)).parts for name in note["files"]):
        raise UsageError(f"{out / UNFINISHED}: is damaged (it names files of other folders)")
    return note


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
    named = named.map(cell)  # a name may look like a formula; submission.csv is for programs
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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path.parent / JSON}: its task is damaged ({error!r})") from None


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.csv: ImageID, ans (the name of the class), p00, p01, ...; UsageError if it is damaged.

    The names are those of the submission.json beside it. Earlier versions wrote the home task's numbers.
    """
    task = task_beside(path)
    table, errors = read_table(path, ["ImageID", "ans"], others=True)
    table[["ImageID", "ans"]] = table[["ImageID", "ans"]].map(from_cell)
    found = [name for name in table if IS_PROBABILITY.fullmatch(name)]
    columns = probability_columns(task.n_classes if task else len(found))
    if not errors and found != columns:
        lacking = [name for name in columns if name not in found] or [f"p{len(columns):02d}"]
        errors = [f"{path}: no column {lacking[0]!r}; {columns[0]} to {columns[-1]} are wanted, in this order"
                  if found else f"{path}: no columns of probabilities (p00, p01, ...)"]  # fmt: skip
    if not errors and task is None and len(columns) == FACE_MASK.n_classes:
        task = FACE_MASK if set(table["ans"]) <= set(FACE_MASK.answers) else None
    labels, wrong = read_labels(path, table, task) if not errors else (table, [])
    errors += wrong
    if not errors:
        table[columns] = table[columns].apply(pd.to_numeric, errors="coerce")
        values = table[columns].to_numpy(float)
        if (bad := not_probabilities(values)).any():
            who = table["ImageID"].iloc[bad.argmax()]
            errors = [
                f"{path}: the probabilities of {who} are not {len(columns)} numbers from 0 to 1 that sum to 1"
            ]
    if errors:
        raise UsageError(errors)
    names = table["ans"] if task is None else [task.classes[label] for label in labels["ans"]]
    return table[["ImageID", "ans", *columns]].assign(ans=names).reset_index(drop=True)


def submission_errors(path: Path, photos: Sequence[str], task: Task) -> list[str]:
    """Errors of a submission for `photos`, which are to be predicted (its ImageIDs, in order); [] if it is
    valid."""
    table, errors = read_answers(path, task)
    return errors or photo_errors(path, list(table["ImageID"]), list(photos), "the photos to predict")


def photo_errors(path: Path, given: list[str], photos: list[str], of: str) -> list[str]:
    if given == photos:
        return []
    missing, extra = sorted(set(photos) - set(given)), sorted(set(given) - set(photos))
    differ = f"missing {missing[:3]}, unknown {extra[:3]}" if missing or extra else "another order"
    return [f"{path}: ImageID differs from {of} ({len(missing)} missing, {len(extra)} unknown: {differ})"]


def read_answers(path: Path, task: Task) -> tuple[pd.DataFrame, list[str]]:
    """The table (ImageID, ans: the label) of a submission or answers file, and its errors. A class may be
    given by its answer (the competition's number) or by its name."""
    table, errors = read_table(path, ["ImageID", "ans"])
    labels, more = read_labels(path, table, task)
    return labels, errors + (more if not table.empty or not errors else [])


def read_labels(path: Path, table: pd.DataFrame, task: Task | None) -> tuple[pd.DataFrame, list[str]]:
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
        name: known[number]
        for name in set(table["ans"]) - set(known)
        if (number := whole_number(name)) in known
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


def whole_number(text: str) -> str:
    """An integer as it is usually written: 3 for 03, 3.0 and 3."""
    try:
        return f"{float(text):.0f}" if float(text).is_integer() else text
    except ValueError:
        return text


def metric_of(about: Mapping[str, Any]) -> str:
    """The metric of the recipe, or of all members' recipes, in a submission.json; macro_f1 if they differ or
    there is none."""
    voters = about.get("members") or [about]
    found = {(voter.get("recipe") or {}).get("metric", DEFAULT) for voter in voters}
    return next(iter(found)) if len(found) == 1 and found <= METRICS.keys() else DEFAULT
