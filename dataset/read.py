"""A folder -> its task and the DataFrame of its photos, in the first format that fits."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from common.errors import UsageError
from dataset.face_masks import layout
from dataset.face_masks.corrections import apply_corrections
from dataset.face_masks.labels import FACE_MASK
from dataset.formats import class_folders, photos_csv
from dataset.tables import empty_table, log_notes
from dataset.task import Scan, Task


class Format(NamedTuple):
    """`wants`: what such a folder holds, for messages. `fits(data)`: whether a folder is meant in this format.
    `scan_train(data, group)` and `scan_eval(data, group)` read it and return all errors."""

    wants: str
    fits: Callable[[Path], bool]
    scan_train: Callable[[Path, str], Scan]
    scan_eval: Callable[[Path, str], tuple[pd.DataFrame, list[str]]]


COMPETITION = "competition layout"
FORMATS = {
    "photos.csv": Format(photos_csv.WANTS, photos_csv.fits, photos_csv.scan_train, photos_csv.scan_eval),
    COMPETITION: Format(layout.LAYOUT, layout.fits, layout.scan_train, layout.scan_eval),
    "one folder per class": Format(
        class_folders.WANTS, class_folders.fits, class_folders.scan_train, class_folders.scan_eval
    ),
}  # by precedence


class Labelled(NamedTuple):
    """A task, and the DataFrame of its photos to train on: one row per photo, sorted by group.

    Columns: photo (path below its folder, with /), path (absolute), group (whose photo it is), label (0 to
    n_classes - 1), the index of the value of each factor, and the numbers that factors are bands of.
    `table.attrs["corrections"]` is the number of corrected labels, `table.attrs["notes"]` what was skipped.
    """

    task: Task
    table: pd.DataFrame


def read_train(data: Path, corrections: str | Path | None = None, group: str = "") -> Labelled:
    """The photos of the folder `data` that are to be trained on, and their task. Notes are logged.

    `group`: the column of photos.csv, or a regular expression on a photo's path, that says whose photo it is.
    `corrections`: "competition" or a CSV file of known label errors of the home task. UsageError with every
    error of folders, names and CSV. Photos are not decoded here.
    """
    task, table, errors = scan_train(data, group)
    if errors:
        raise UsageError(errors)
    table = corrected(task, table, corrections)
    log_notes(table)
    return Labelled(task, table)


def read_eval(data: Path, group: str = "") -> pd.DataFrame:
    """DataFrame of the photos of `data` to predict, in the order of the answers: photo and path (absolute).

    If they are labelled, for a score, there is also class. Notes are logged. UsageError with every error, and
    if there is no such photo.
    """
    table, errors = scan_eval(data, group)
    if not errors and table.empty:
        errors = [f"{data}: has no photos to predict; put them into {Path(data) / 'eval'}, or give split=eval in photos.csv"]
    if errors:
        raise UsageError(errors)
    log_notes(table)
    return table


def scan_train(data: Path, group: str = "") -> Scan:
    """As `read_train`, but all errors are returned, with what could be read."""
    data = Path(data)
    found = format_of(data)
    if found is None:
        return Scan(FACE_MASK, layout.empty(), no_format(data))
    return FORMATS[found].scan_train(data, group)


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """As `read_eval`, but all errors are returned, with what could be read."""
    data = Path(data)
    found = format_of(data)
    if found is None:
        return empty_table(["photo", "path"]), no_format(data)
    return FORMATS[found].scan_eval(data, group)


def corrected(task: Task, table: pd.DataFrame, corrections: str | Path | None) -> pd.DataFrame:
    """The DataFrame of photos with known label errors corrected, if `corrections` names any: see
    `apply_corrections`. UsageError for any other than the home task."""
    if not corrections:
        table.attrs["corrections"] = 0
        return table
    if task.name != FACE_MASK.name:
        raise UsageError(f"corrections={corrections}: only the face-mask task has them; correct the labels of this set in its own files")
    return apply_corrections(table, corrections)


def format_of(data: Path) -> str | None:
    """The name of the format in which the folder `data` is meant, None if none fits."""
    return next((name for name, form in FORMATS.items() if form.fits(data)), None)


def no_format(data: Path) -> list[str]:
    """Why no format fits the folder: what each wants, and which is nearest."""
    if not data.is_dir():
        return [f"no folder {data}; {layout.LAYOUT}"]
    nearest = ""
    csvs = sorted(data.glob("*.csv"))
    folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
    if csvs:
        nearest = f"; nearest is the first: is {csvs[0].name} meant as photos.csv?"
    elif folders:
        names = ", ".join(path.name for path in folders[:3])
        nearest = f"; nearest is the last: are {names} folders of classes? move them into {data / 'train'}"
    wants = "; ".join(f"({number}) {form.wants}" for number, form in enumerate(FORMATS.values(), start=1))
    return [f"{data}: fits no format of data sets{nearest}. The formats: {wants}"]
