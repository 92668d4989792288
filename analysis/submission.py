"""The submission's files, written and read back: submission.csv (checked against info.csv), predictions.csv,
submission.json; and the score of a submission if the answers are known."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UsageError
from common.files import write_atomic, write_json
from common.text import lines_text
from dataset.face_masks.labels import AGE_BANDS, CLASS_NAMES, N_CLASSES
from dataset.tables import read_table
from trial.metrics import recall_of_oldest, score
from trial.record import PROBABILITIES

CSV, JSON, PREDICTIONS = "submission.csv", "submission.json", "predictions.csv"


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


def write_submission(out: Path, photos: list[str], probabilities: np.ndarray, about: dict[str, Any]) -> Path:
    """Write submission.csv (ImageID, ans) of `probabilities` (photos, 18), in the order of `photos`, with
    predictions.csv (ImageID, ans, p00..p17) and submission.json (`about`) beside it. Return its path.

    The file is read back and checked. UsageError if one of the files exists, or probabilities are not finite.
    """
    refuse_overwriting(out)
    if probabilities.shape != (len(photos), N_CLASSES):
        raise ValueError(f"probabilities {probabilities.shape} for {len(photos)} photos")
    if (lost := ~np.isfinite(probabilities).all(1)).any():
        raise UsageError(
            f"{out}: {lost.sum()} of {len(photos)} photos have probabilities that are not finite, first "
            f"{photos[lost.argmax()]}; nothing is written"
        )
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"ImageID": photos, "ans": probabilities.argmax(1)})
    whole = table.join(pd.DataFrame(probabilities, columns=PROBABILITIES))
    # The submission is written last: once it exists, so do the files beside it.
    write_atomic(out / PREDICTIONS, lambda part: whole.to_csv(part, index=False))
    write_json(out / JSON, about | {"photos": len(photos)})
    path = write_atomic(out / CSV, lambda part: table.to_csv(part, index=False))
    if errors := submission_errors(path, photos):
        raise AssertionError("\n".join(errors))
    return path


def read_about(folder: Path) -> dict[str, Any] | None:
    """The content of a folder's submission.json, None if there is none. UsageError if it is damaged."""
    try:
        return json.loads((folder / JSON).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UsageError(f"{folder / JSON}: is damaged ({error})") from None


def read_predictions(path: Path) -> pd.DataFrame:
    """Read predictions.csv: ImageID, ans (0..17), p00..p17. UsageError if it is damaged."""
    table, errors = read_answers(path, PROBABILITIES)
    if not errors:
        table[PROBABILITIES] = table[PROBABILITIES].apply(pd.to_numeric, errors="coerce")
        values = table[PROBABILITIES].to_numpy(float)
        wrong = ~np.isfinite(values).all(1) | (values < 0).any(1) | (abs(values.sum(1) - 1) > 1e-3)
        if wrong.any():
            who = table["ImageID"].iloc[wrong.argmax()]
            errors = [f"{path}: the probabilities of {who} are not 18 numbers from 0 to 1 that sum to 1"]
    if errors:
        raise UsageError(errors)
    return table


def submission_errors(path: Path, photos: list[str]) -> list[str]:
    """Errors of a submission for `photos` (info.csv's ImageIDs, in order); [] if it is valid."""
    table, errors = read_answers(path)
    if errors:
        return errors
    if list(table["ImageID"]) != list(photos):
        missing, extra = (
            sorted(set(photos) - set(table["ImageID"])),
            sorted(set(table["ImageID"]) - set(photos)),
        )
        few = f"missing {missing[:3]}, unknown {extra[:3]}" if missing or extra else "another order"
        errors.append(
            f"{path}: ImageID differs from info.csv ({len(missing)} missing, {len(extra)} unknown: {few})"
        )
    return errors


def read_answers(path: Path, more: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """The table (ImageID, ans, and the columns `more` as text) of a submission or answers file, and its
    errors."""
    table, errors = read_table(path, ["ImageID", "ans", *more])
    if table.empty:
        return table, errors or [f"{path}: has no rows"]
    if (repeated := table["ImageID"].duplicated()).any():
        errors.append(f"{path}: ImageID {table['ImageID'][repeated].iloc[0]} is duplicated")
    answers = pd.to_numeric(table["ans"], errors="coerce")
    if (wrong := table.index[~answers.isin(range(N_CLASSES))]).size:
        lines = lines_text(list(wrong))
        errors.append(f"{path} {lines}: column ans must hold integers from 0 to {N_CLASSES - 1}")
        return table, errors
    return table.assign(ans=answers.astype(int)).reset_index(drop=True), errors


def score_submission(submission: Path, answers: Path) -> dict[str, Any]:
    """{"macro_f1", "accuracy", "photos", "recall_oldest", "recall": {class: recall}}; a recall is None for a
    class without photos. `recall_oldest`: the fraction of the photos of people of 60 and over that are
    predicted correctly. UsageError if the files are invalid or list different photos."""
    (given, errors), (truth, more) = read_answers(submission), read_answers(answers)
    if errors or more:
        raise UsageError(errors + more)
    if set(given["ImageID"]) != set(truth["ImageID"]):
        errors = submission_errors(submission, list(truth["ImageID"]))
        raise UsageError([error.replace("info.csv", str(answers)) for error in errors])
    both = truth.merge(given, on="ImageID", suffixes=("_true", "_given"))
    scores = score(both["ans_true"].to_numpy(), both["ans_given"].to_numpy())
    recall = {
        name: None if np.isnan(r) else round(float(r), 4)
        for name, r in zip(CLASS_NAMES, scores.recall, strict=True)
    }
    oldest = recall_of_oldest(both["ans_true"].to_numpy(), both["ans_given"].to_numpy())
    return {
        "macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "photos": len(both),
        "recall_oldest": oldest, "recall": recall,
    }  # fmt: skip


def score_line(scores: Mapping[str, Any]) -> str:
    """The scores of `score_submission` in one line for people."""
    oldest = scores["recall_oldest"]
    return (
        f"macro-F1 {scores['macro_f1']:.4f}  accuracy {scores['accuracy']:.4f}  recall of {AGE_BANDS[-1]} "
        + ("(no photos)" if oldest is None else f"{oldest:.4f}")
    )
