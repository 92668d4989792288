"""The competition's layout: a row per person in train/train.csv, seven photos in each person's folder."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from dataset.face_masks.labels import FACE_MASK, GENDERS, MAX_AGE, PHOTO_MASKS, age_band, encode, is_age
from dataset.images import EXTENSIONS, scan_images
from dataset.photo_file import entry_error, is_system_file, skipped_notes
from dataset.tables import empty_table, read_table
from dataset.task import Scan

TRAIN_COLUMNS = ["id", "gender", "race", "age", "path"]
EVAL_COLUMNS = ["ImageID"]  # ans, which the competition fills with 0, is not read
COLUMNS = ["photo", "path", "group", "mask", "gender", "age", "age_band", "label"]
# The competition gave this id to two people, in two folders. Any other duplicate id is an error.
SHARED_IDS = ("003397",)
LAYOUT = (
    "the competition's layout is a folder with train/train.csv, train/images/, eval/info.csv and eval/images/"
)


def fits(data: Path) -> bool:
    """Whether the folder has one of the layout's files or folders. Without a train.csv of people the others
    are not enough if train/ has folders beside images/: they are of classes."""
    train = data / "train"
    if os.path.lexists(train / "train.csv") and not is_of_others(train / "train.csv"):
        return True
    others = (path for path in train.iterdir() if path.name != "images") if train.is_dir() else ()
    if any(path.is_dir() and not is_system_file(path.name) for path in others):
        return False
    own = [train / "images", train / "train.csv", data / "eval" / "info.csv", data / "eval" / "images"]
    return any(map(os.path.lexists, own))


def lacks_people(data: Path) -> bool:
    """Whether there is a folder train/images, but no train.csv that says whom it shows."""
    train = data / "train"
    return (train / "images").is_dir() and not os.path.lexists(train / "train.csv")


def is_of_others(csv: Path) -> bool:
    """Whether a train.csv says nothing about people by its first line: other sets have one, too."""
    if not csv.is_file():
        return False
    with suppress(OSError), csv.open("rb") as file:
        line = file.readline(10_000)
        if b"\0" in line:  # UTF-16, which its reader names
            return False
        words = re.findall("[a-z]+", line.decode(errors="replace").lower())
        about_people = {"gender", "race", "age", *GENDERS}  # of the header, or of a row if there is none
        return bool(words) and about_people.isdisjoint(words)
    return False


def scan_train(data: Path, group: str = "") -> Scan:
    """The photos in `data`/train, sorted by photo (path below train/images), with the column age (years), and
    all errors; people with an error in their line are left out."""
    data = Path(data)
    images, csv = data / "train" / "images", data / "train" / "train.csv"
    people, errors = _read_csv(data, csv, TRAIN_COLUMNS)
    notes, skipped = list(people.attrs["notes"]), list[str]()
    people = _rename_shared_ids(people)
    if not errors and people.empty:
        errors.append(f"{csv}: lists no people; it needs a line for each person")
    if data.is_dir() and not images.is_dir():
        errors.append(f"no folder {images}; {LAYOUT}")
    table = pd.DataFrame({"photo": [], "folder": [], "mask": []}).astype({"photo": str, "folder": str})
    if not people.empty:
        errors += _people_errors(csv, people)
        if images.is_dir():
            table, folder_errors = _photos_of(images, people, skipped)
            errors += folder_errors

    good = people["gender"].isin(GENDERS) & people["age"].map(is_age).astype(bool) & people["id"].ne("")
    people = people[good.astype(bool)].drop_duplicates("id").drop_duplicates("path")
    people = people.assign(folder=people["path"], group=people["id"], age=people["age"].astype(int))
    people["gender"] = people["gender"].map(GENDERS.index).astype(int)
    people["age_band"] = people["age"].map(age_band).astype(int)
    table = table.astype({"mask": int}).merge(
        people[["folder", "group", "gender", "age", "age_band"]], on="folder"
    )
    table["path"] = f"{images.absolute()}{os.sep}" + table["photo"]
    table["label"] = encode(table["mask"], table["gender"], table["age_band"])
    table = table.sort_values("photo", ignore_index=True)[COLUMNS]
    table.attrs["notes"] = notes + skipped_notes(skipped, images)
    if group:
        errors.append(f"group={group}: the groups of {data} are its people, by their ids; leave it out")
    return Scan(FACE_MASK, table, errors)


def empty() -> pd.DataFrame:
    """A DataFrame of no photos to train on."""
    table = pd.DataFrame(
        {column: pd.Series(dtype=str if column in COLUMNS[:3] else int) for column in COLUMNS}
    )
    table.attrs["notes"] = []
    return table


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(The photos in `data`/eval that can be read: photo (ImageID) and path, in the order of info.csv; all
    errors).

    Without an info.csv, all images in eval/images, sorted by name; a note says so.
    """
    data = Path(data)
    images, csv = data / "eval" / "images", data / "eval" / "info.csv"
    if images.is_dir() and not os.path.lexists(csv):
        return scan_images(images, nested=False, why=f"no {csv}: ")
    info, errors = _read_csv(data, csv, EVAL_COLUMNS)
    if not errors and info.empty:
        errors.append(f"{csv}: lists no photo; it needs a line for each ImageID")
    if data.is_dir() and not images.is_dir():
        errors.append(f"no folder {images}; {LAYOUT}")
    skipped: list[str] = []
    found = {entry.name: entry_error(entry) for entry in _entries(images, skipped)} if images.is_dir() else {}
    listed = set(info["ImageID"])
    if listed:
        errors += [f"{csv}: ImageID {name!r} appears twice" for name in _duplicates(info["ImageID"])]
        missing, extra = sorted(listed - found.keys()), sorted(found.keys() - listed)
        errors += [f"missing photo {images / name}: {csv.name} lists it" for name in missing]
        errors += [f"extra {images / name}: {csv.name} doesn't list it" for name in extra]
        errors += [f"{images / name}: {why}" for name, why in found.items() if why and name in listed]
    names = [name for name in info["ImageID"].drop_duplicates() if found.get(name) == ""]
    table = pd.DataFrame({"photo": names, "path": [str(images.absolute() / name) for name in names]})
    table.attrs["notes"] = [*info.attrs["notes"], *skipped_notes(skipped, images)]
    return table, errors


def _read_csv(data: Path, csv: Path, columns: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """As `read_table`; if there is no such file, the error explains the layout of a data set."""
    missing = "" if data.is_dir() else f"no folder {data}; {LAYOUT}"
    if not missing and not os.path.lexists(csv):
        missing = f"no file {csv}; {LAYOUT}"
    if not missing:
        return read_table(csv, columns)
    return empty_table(columns), [missing]


def _rename_shared_ids(people: pd.DataFrame) -> pd.DataFrame:
    """Give the second folder of an id in SHARED_IDS its own id: 003397-1."""
    people = people.copy()
    for name in SHARED_IDS:
        folders = sorted(people.loc[people["id"] == name, "path"])
        if len(folders) == 2 and folders[0] != folders[1]:
            people.loc[people["path"] == folders[1], "id"] = f"{name}-1"
    return people


def _is_name(path: str) -> bool:
    return path not in ("", ".", "..") and Path(path).name == path and "\\" not in path


def _people_errors(csv: Path, people: pd.DataFrame) -> list[str]:
    errors = [
        f"{csv}: duplicate id {name!r}; every person needs their own id" for name in _duplicates(people["id"])
    ]
    errors += [f"{csv}: path {name!r} appears twice" for name in _duplicates(people["path"])]
    for row in people.itertuples():
        where = f"{csv} line {row.Index} (id {row.id})"
        if not row.id:
            errors.append(f"{csv} line {row.Index}: no id")
        if row.gender not in GENDERS:
            errors.append(f"{where}: unknown gender {row.gender!r}; use {' or '.join(GENDERS)}")
        if not is_age(row.age):
            errors.append(f"{where}: age {row.age!r} is not an integer from 1 to {MAX_AGE}")
        if not _is_name(row.path):
            errors.append(f"{where}: path {row.path!r} is not the name of a folder in images/")
    return errors


def _photos_of(images: Path, people: pd.DataFrame, skipped: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """(DataFrame with photo, folder and mask of each photo, errors: what is missing, extra or not a regular
    file)."""
    folders, names, errors = [], [], []
    listed = dict(zip(people["path"], people["id"], strict=True))
    for name in sorted({entry.name for entry in _entries(images, skipped)} - set(listed)):
        errors.append(f"extra {images / name}: train.csv doesn't list it")
    for folder, person in listed.items():
        if not _is_name(folder):
            continue
        inside = images / folder
        if not inside.is_dir():
            errors.append(f"missing folder {inside}: train.csv lists it for id {person}")
            continue
        stems: dict[str, str] = {}
        for entry in _entries(inside, skipped):
            name = entry.name
            stem, extension = os.path.splitext(name)
            if extension.lower() not in EXTENSIONS:
                errors.append(f"extra {inside / name}: not a photo by its name ({', '.join(EXTENSIONS)})")
            elif stem not in PHOTO_MASKS:
                known = ", ".join(PHOTO_MASKS)
                errors.append(f"extra photo {inside / name}: unknown mask name {stem!r}; known: {known}")
            elif stem in stems:
                errors.append(f"extra photo {inside / name}: {stems[stem]} exists too; keep one")
            else:
                stems[stem] = name
                if why := entry_error(entry):
                    errors.append(f"{inside / name}: {why}")
                else:
                    folders.append(folder)
                    names.append(sys.intern(name))  # a few names of all photos
        missing = [stem for stem in PHOTO_MASKS if stem not in stems]
        errors += [f"missing photo {inside / stem} ({' or '.join(EXTENSIONS)})" for stem in missing]
    table = pd.DataFrame({"folder": folders, "name": names}, dtype=str)
    masks = {name: PHOTO_MASKS[os.path.splitext(name)[0]] for name in set(names)}
    table["mask"] = table["name"].map(masks).astype(int)
    table.insert(0, "photo", table["folder"] + "/" + table.pop("name"))
    return table, errors


def _entries(folder: Path, skipped: list[str]) -> Iterator[os.DirEntry]:
    """The entries of a folder, sorted by name; names of hidden and system files are appended to `skipped`."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if is_system_file(entry.name):
            skipped.append(entry.name)
        else:
            yield entry


def _duplicates(column: pd.Series) -> list[str]:
    return sorted(set(column[column.duplicated()]))
