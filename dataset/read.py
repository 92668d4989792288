"""A folder -> its task and the DataFrame of its photos, in the first format that fits."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from common.errors import UsageError
from common.text import few
from dataset.face_masks import layout
from dataset.face_masks.corrections import apply_corrections
from dataset.face_masks.labels import FACE_MASK, NO_CORRECTIONS
from dataset.formats import class_folders, photos_csv
from dataset.formats.labelled import TRAIN
from dataset.images import EXTENSIONS
from dataset.photo_file import is_system_file
from dataset.tables import empty_table, log_notes, read_table
from dataset.task import Scan, Task


class Format(NamedTuple):
    """`wants`: what such a folder holds, for messages. `fits(data)`: whether a folder is meant in this
    format.
    `scan_train(data, group)` and `scan_eval(data, group)` read it and return all errors."""

    wants: str
    fits: Callable[[Path], bool]
    scan_train: Callable[[Path, str], Scan]
    scan_eval: Callable[[Path, str], tuple[pd.DataFrame, list[str]]]


PHOTOS_CSV, COMPETITION, CLASS_FOLDERS = photos_csv.NAME, "competition layout", "one folder per class"
FORMATS = {
    PHOTOS_CSV: Format(photos_csv.WANTS, photos_csv.fits, photos_csv.scan_train, photos_csv.scan_eval),
    COMPETITION: Format(layout.LAYOUT, layout.fits, layout.scan_train, layout.scan_eval),
    CLASS_FOLDERS: Format(
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
        remedy = f"put them into {Path(data) / 'eval'}"
        if format_of(Path(data)) == PHOTOS_CSV:
            remedy = f"list them in {Path(data) / PHOTOS_CSV} with eval in a column split"
        errors = [f"{data}: has no photos to predict; {remedy}"]
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
    scan = FORMATS[found].scan_train(data, group)
    return scan._replace(errors=_with_formats(scan.errors, found, data))


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """As `read_eval`, but all errors are returned, with what could be read."""
    data = Path(data)
    found = format_of(data)
    if found is None:
        return empty_table(["photo", "path"]), no_format(data)
    table, errors = FORMATS[found].scan_eval(data, group)
    return table, _with_formats(errors, found, data)


def _with_formats(errors: list[str], found: str, data: Path) -> list[str]:
    """The errors; if the columns of a photos.csv are others than the format's, or train/images/ is without
    train.csv, the formats follow: another one may be meant. They stand alone if train.csv or photos.csv is
    another format's."""
    if errors and found == COMPETITION:
        if layout.is_of_others(data / "train" / "train.csv"):
            return no_format(data)
        return [*errors, *no_format(data)] if layout.lacks_people(data) else errors
    if not errors or found != PHOTOS_CSV:
        return errors
    if _lists_people(data / photos_csv.NAME):
        return no_format(data)
    return [*errors, *no_format(data)] if photos_csv.misfit(data) else errors


def _lists_people(csv: Path) -> bool:
    """Whether a CSV has the columns of the competition's train.csv."""
    return not read_table(csv, layout.TRAIN_COLUMNS)[0].empty


def corrected(task: Task, table: pd.DataFrame, corrections: str | Path | None) -> pd.DataFrame:
    """The DataFrame of photos with known label errors corrected, if `corrections` names any: see
    `apply_corrections`. UsageError for any other than the home task."""
    if not corrections:
        table.attrs["corrections"] = 0
        return table
    if task.name != FACE_MASK.name:
        raise UsageError(f"corrections={corrections}: {NO_CORRECTIONS}")
    return apply_corrections(table, corrections)


def format_of(data: Path) -> str | None:
    """The name of the format in which the folder `data` is meant, None if none fits."""
    return next((name for name, form in FORMATS.items() if form.fits(data)), None)


def no_format(data: Path) -> list[str]:
    """Why no format fits the folder: which is nearest, and what each wants."""
    if not data.is_dir():
        what = "is a file; give the folder that it is in" if data.is_file() else ""
        return [f"{data} {what}" if what else f"no folder {data}; give the folder of a data set. {_wanted()}"]
    nearest = _nearest(data)
    return [f"{data}: fits no format of data sets{nearest}{'' if nearest.endswith('?') else '.'} {_wanted()}"]


def _wanted() -> str:
    return "The formats: " + "; ".join(
        f"({number}) {form.wants}" for number, form in enumerate(FORMATS.values(), 1)
    )


def _nearest(data: Path) -> str:
    """A hint on the format that the folder comes nearest to; '' if to none."""
    numbers = {name: number for number, name in enumerate(FORMATS, 1)}
    csvs = sorted(path for path in data.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    for csv in csvs:
        if _lists_people(csv):
            return f"; nearest is ({numbers[COMPETITION]}): {csv.name} has the columns of its train/train.csv"
    if csvs:
        meant = "" if csvs[0].name == photos_csv.NAME else f": is {csvs[0].name} meant as {photos_csv.NAME}?"
        return f"; nearest is ({numbers[PHOTOS_CSV]}){meant}"
    if layout.is_of_others(csv := data / "train" / "train.csv"):
        return f"; nearest is ({numbers[PHOTOS_CSV]}): is {csv} meant as {data / photos_csv.NAME}?"
    inside = sorted(path for path in data.iterdir() if not is_system_file(path.name))
    nearest, train = f"; nearest is ({numbers[CLASS_FOLDERS]}): ", data / "train"
    if folders := [path.name for path in inside if path.is_dir()]:
        if "train" in folders and layout.lacks_people(data):
            return (
                f"{nearest}are the folders in {train / 'images'} those of the classes? move them into {train}"
            )
        if "train" in folders:
            return f"{nearest}move each photo in {train} into a folder with the name of its class"
        if alike := [name for name in folders if name.lower() in TRAIN]:
            return f"{nearest}should the folder {alike[0]} be train?"
        which = "is {} the folder of a class? move it" if len(folders) == 1 else (
            "are {} the folders of the classes? move them"
        )  # fmt: skip
        return f"{nearest}{which.format(few(folders, 3))} into {train}"
    if any(path.suffix.lower() in EXTENSIONS for path in inside):
        return f"{nearest}move each photo into {train}/CLASS, a folder for each class"
    return ""
