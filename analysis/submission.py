"""Probabilities -> submission.csv, checked against info.csv; and its score where answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dataset.errors import CallersMistake
from dataset.files import write_atomic, write_json
from dataset.labels import CLASS_NAMES, N_CLASSES
from dataset.tables import lines_text, read_table
from trial.metrics import score

CSV, JSON = "submission.csv", "submission.json"


def refuse_overwriting(out: Path, *more: str) -> None:
    """CallersMistake where `out` is a file or holds a submission (or `more`): nothing is ever overwritten."""
    if out.exists() and not out.is_dir():
        raise CallersMistake(f"{out} is a file; give a folder as --out")
    for name in (CSV, JSON, *more):
        if (out / name).exists():
            raise CallersMistake(f"{out / name} is there already; give another --out, or move it away")


def write_submission(out: Path, photos: list[str], probabilities: np.ndarray, about: dict[str, Any]) -> Path:
    """submission.csv (ImageID, ans) of `probabilities` (photos, 18), in the order of `photos`, with
    `about` as submission.json beside it; read back and checked. CallersMistake where one is there."""
    refuse_overwriting(out)
    if probabilities.shape != (len(photos), N_CLASSES) or not np.isfinite(probabilities).all():
        raise ValueError(f"probabilities {probabilities.shape} for {len(photos)} photos")
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"ImageID": photos, "ans": probabilities.argmax(1)})
    path = write_atomic(out / CSV, lambda part: table.to_csv(part, index=False))
    write_json(out / JSON, about | {"photos": len(photos)})
    if faults := submission_faults(path, photos):
        raise AssertionError("\n".join(faults))
    return path


def submission_faults(path: Path, photos: list[str]) -> list[str]:
    """What makes a submission invalid for `photos` (info.csv's ImageIDs, in order); [] when it is valid."""
    table, faults = read_answers(path)
    if faults:
        return faults
    if list(table["ImageID"]) != list(photos):
        missing, extra = (
            sorted(set(photos) - set(table["ImageID"])),
            sorted(set(table["ImageID"]) - set(photos)),
        )
        few = f"missing {missing[:3]}, unknown {extra[:3]}" if missing or extra else "another order"
        faults.append(
            f"{path}: ImageID differs from info.csv ({len(missing)} missing, {len(extra)} unknown: {few})"
        )
    return faults


def read_answers(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table (ImageID, ans) of a submission or answers file, and what is wrong with it."""
    table, faults = read_table(path, ["ImageID", "ans"])
    if table.empty:
        return table, faults or [f"{path}: holds no answer"]
    if (twice := table["ImageID"].duplicated()).any():
        faults.append(f"{path}: ImageID {table['ImageID'][twice].iloc[0]} is there twice")
    answers = pd.to_numeric(table["ans"], errors="coerce")
    if (wrong := table.index[~answers.isin(range(N_CLASSES))]).size:
        lines = lines_text(list(wrong))
        faults.append(f"{path} {lines}: column ans must hold whole numbers from 0 to {N_CLASSES - 1}")
        return table, faults
    return table.assign(ans=answers.astype(int)).reset_index(drop=True), faults


def score_submission(submission: Path, answers: Path) -> dict[str, Any]:
    """{"macro_f1", "accuracy", "photos", "recall": {class: share or None}}. CallersMistake where the files
    are invalid or speak of different photos."""
    (given, faults), (truth, more) = read_answers(submission), read_answers(answers)
    if faults or more:
        raise CallersMistake(faults + more)
    if set(given["ImageID"]) != set(truth["ImageID"]):
        faults = submission_faults(submission, list(truth["ImageID"]))
        raise CallersMistake([fault.replace("info.csv", str(answers)) for fault in faults])
    both = truth.merge(given, on="ImageID", suffixes=("_true", "_given"))
    scores = score(both["ans_true"].to_numpy(), both["ans_given"].to_numpy())
    recall = {
        name: None if np.isnan(r) else round(float(r), 4)
        for name, r in zip(CLASS_NAMES, scores.recall, strict=True)
    }
    return {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy, "photos": len(both), "recall": recall}
