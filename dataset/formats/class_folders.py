"""The format of one folder per class: train/CLASS/, with photos in it and below it."""

from pathlib import Path

import pandas as pd

from dataset.formats.labelled import (
    MAX_CLASSES, UNGROUPED, both_sides, groups_of, labelled, task_of, unknown_classes, unmatched,
)  # fmt: skip
from dataset.images import scan_images
from dataset.tables import empty_table
from dataset.task import Scan

WANTS = (
    "one folder per class: train/CLASS/*.jpg, and the photos to predict in eval/ (group=: a regular expression on "
    "the path says whose photo each is)"
)
TRAIN, EVAL = ("train", "val", "valid", "validation"), ("eval", "test")


def fits(data: Path) -> bool:
    """Whether train/ has folders; without train/, whether there is a folder of photos to predict."""
    if (data / "train").is_dir():
        return any(path.is_dir() for path in (data / "train").iterdir())
    return any((data / name).is_dir() for name in EVAL)


def scan_train(data: Path, group: str = "") -> Scan:
    """The photos below train/ (and val/), sorted by group and by their path below their class's folder."""
    photos, errors, notes = _halves(data, TRAIN)
    if loose := photos.index[photos["class"] == ""].tolist():
        first = photos.at[loose[0], "photo"]
        errors.append(
            f"{data / first}: lies beside the folders of the classes ({len(loose):,} photos do); "
            "move each into the folder of its class"
        )
    grouped, found = "", photos["photo"].tolist()
    if group:
        found, wrong = groups_of(photos["photo"], group)
        errors += wrong or unmatched(photos["photo"], found, group)
        grouped = "group"
    elif len(photos):
        notes.append(f"{data / 'train'}: {UNGROUPED.format(thing='person or thing')}")
    photos = photos.assign(group=found)
    first_key = ["group"] if group else []
    photos = photos.sort_values([*first_key, "below", "photo"], kind="stable", ignore_index=True)
    task = task_of({}, photos["class"], grouped)
    where = str(data / "train")
    if not errors and task.n_classes > MAX_CLASSES:
        errors.append(f"{where}: {task.n_classes:,} classes; the limit is {MAX_CLASSES:,}")
    if errors or photos.empty:
        table = empty_table(["photo", "path", "group", "label"])
        return Scan(task, table, errors or [f"{where}: has no photo to train on"])
    scan = labelled(task, photos, {}, where)
    eval_photos, _ = scan_eval(data, group)
    if group:
        scan.errors.extend(both_sides(photos["group"], eval_photos["group"], task.group, str(data)))
    scan.errors.extend(unknown_classes(photos["class"], eval_photos["class"], str(data)))
    scan.table.attrs["notes"] += notes
    return scan


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(Photos to predict, sorted by path: photo (path below eval/), path, group and class, '' where unknown;
    all errors). Photos in folders that are named like those of train/ have their class."""
    names = {path.name for half in TRAIN if (data / half).is_dir() for path in (data / half).iterdir()}
    photos, errors, notes = _halves(data, EVAL)
    photos["group"] = groups_of(photos["photo"], group)[0] if group else ""
    in_classes = bool(names & set(photos["class"]))
    photos["class"] = photos["class"] if in_classes else ""
    photos["photo"] = [photo.partition("/")[2] for photo in photos["photo"]]
    table = photos[["photo", "path", "group", "class"]].sort_values("photo", ignore_index=True)
    table.attrs["notes"] = notes
    return table, errors


def _halves(data: Path, names: tuple[str, ...]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """(The photos in the folders `names` of `data`: photo (path below `data`), path, class (first folder below,
    or ''), below (the rest); errors; notes)."""
    found, errors, notes = [], [], []
    for name in names:
        if not (data / name).is_dir():
            continue
        table, wrong = scan_images(data / name)
        errors += wrong
        notes += table.attrs["notes"]
        parts = [photo.rpartition("/")[0].partition("/")[0] for photo in table["photo"]]
        found.append(pd.DataFrame({
            "photo": f"{name}/" + table["photo"], "path": table["path"], "class": parts,
            "below": [photo[len(part) + 1 if part else 0 :] for photo, part in zip(table["photo"], parts, strict=True)],
        }))  # fmt: skip
    if len(found) > 1 and names is EVAL:
        errors.append(f"{data}: has both eval/ and test/; keep one of them")
    columns = ["photo", "path", "class", "below"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns, dtype=str), errors, notes
