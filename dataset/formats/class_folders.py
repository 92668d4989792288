"""The format of one folder per class: train/CLASS/, with photos in it and below it."""

from pathlib import Path

import pandas as pd

from common.text import counted, few
from dataset.formats.labelled import (
    EVAL,
    MAX_CLASSES,
    OWN_GROUPS,
    TRAIN,
    both_sides,
    groups_of,
    labelled,
    natural,
    task_of,
    unknown_classes,
    unmatched,
)
from dataset.images import scan_images
from dataset.photo_file import is_system_file
from dataset.tables import empty_table
from dataset.task import Scan

WANTS = (
    "one folder per class: train/CLASS/*.jpg, and the photos to predict in eval/ (group=: a regular "
    "expression on the path says whose photo each is)"
)


def fits(data: Path) -> bool:
    """Whether train/ has folders; without train/, whether there is a folder of photos to predict."""
    if (data / "train").is_dir():
        return bool(_folders(data / "train"))
    return any((data / name).is_dir() for name in EVAL)


def scan_train(data: Path, group: str = "") -> Scan:
    """The photos below train/ (and val/), sorted by group and by their path below their class's folder."""
    photos, errors, notes = _halves(data, TRAIN)
    where = str(data / "train")
    if loose := photos.loc[photos["class"] == "", "photo"].tolist():
        errors.append(
            f"{data / loose[0]}: lies beside the folders of the classes "
            f"({counted(len(loose), 'such photo')}); move each into the folder of its class"
        )
        photos = photos[photos["class"] != ""]
    spaced = [name for name in photos["class"].unique() if name != name.strip()]
    errors += [f"{where}: spaces around the class {name!r}; rename the folder" for name in spaced]
    if photos.empty:
        return Scan(
            task_of({}, photos["class"], ""), _empty(), errors or [f"{where}: has no photo to train on"]
        )
    found, wrong = photos["photo"].tolist(), list[str]()
    if group:
        found, wrong = groups_of(photos["photo"], group)
        errors += (wrong := wrong or unmatched(photos["photo"], found, group))
    else:
        notes.append(f"{where}: {OWN_GROUPS}")
    photos = photos.assign(group=found)
    photos = photos[photos["group"] != ""]
    photos = photos.sort_values(
        [*(["group"] if group else []), "below", "photo"], kind="stable", ignore_index=True
    )
    task = task_of({}, photos["class"], "group" if group else "")
    if task.n_classes > MAX_CLASSES:
        errors.append(f"{where}: {task.n_classes:,} classes; the limit is {MAX_CLASSES:,}")
    if photos.empty:
        return Scan(task, _empty(), errors)
    scan = labelled(task, photos, {}, where)
    eval_photos, _ = scan_eval(data, group)
    if not wrong:  # else these would be further errors of one cause
        errors += scan.errors
    if group and not wrong:
        errors += both_sides(photos["group"], eval_photos["group"], task, str(data))
    errors += unknown_classes(task.classes, eval_photos["class"], str(data))
    scan.table.attrs["notes"] += notes
    return Scan(scan.task, scan.table, errors)


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(Photos to predict, sorted by path: photo (path below eval/), path, group and class, '' where unknown;
    all errors). Photos in folders that are named like those of train/ have their class."""
    classes = {name for half in TRAIN if (data / half).is_dir() for name in _folders(data / half)}
    photos, errors, notes = _halves(data, EVAL)
    photos["group"] = groups_of(photos["photo"], group)[0] if group else ""
    in_classes = bool(classes & set(photos["class"]))
    photos["class"] = photos["class"] if in_classes else ""
    photos["photo"] = [photo.partition("/")[2] for photo in photos["photo"]]
    table = photos[["photo", "path", "group", "class"]].sort_values("photo", ignore_index=True)
    table.attrs["notes"] = notes
    return table, errors


def _folders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, but for hidden ones and those that systems leave there."""
    names = [path.name for path in folder.iterdir() if path.is_dir() and not is_system_file(path.name)]
    return sorted(names, key=natural)


def _halves(data: Path, names: tuple[str, ...]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """(The photos in the folders `names` of `data`: photo (path below `data`), path, class (first folder
    below, or ''), below (the rest); errors; notes)."""
    tables, errors, notes = [], [], []
    present = [name for name in names if (data / name).is_dir()]
    for name in present:
        table, wrong = scan_images(data / name)
        errors += wrong
        notes += [note for note in table.attrs["notes"] if "; skipped: " in note]
        classes = [photo.partition("/")[0] if "/" in photo else "" for photo in table["photo"]]
        below = [
            photo[len(part) + 1 if part else 0 :] for photo, part in zip(table["photo"], classes, strict=True)
        ]
        tables.append(
            table.assign(**{"photo": f"{name}/" + table["photo"], "class": classes, "below": below})
        )
        if (
            names is TRAIN
            and not wrong
            and (empty := [one for one in _folders(data / name) if one not in set(classes)])
        ):
            notes.append(f"{data / name}: folders without a photo are no classes: {few(empty)}")
    if len(present) > 1 and names is EVAL:
        errors.append(f"{data}: has both {' and '.join(f'{name}/' for name in present)}; keep one of them")
    elif len(present) > 1:
        notes.append(
            f"{data}: the photos of {', '.join(present[1:])} join those of train: folds are made here"
        )
    columns = ["photo", "path", "class", "below"]
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=str),
        errors,
        notes,
    )


def _empty() -> pd.DataFrame:
    return empty_table(["photo", "path", "group", "label"])
