"""The format photos.csv: one row per photo, with its path and its label or factors."""

import functools
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from common.text import lines_text
from common.errors import unknown
from dataset.formats.labelled import (
    MAX_CLASSES, UNGROUPED, both_sides, few, groups_of, labelled,
    task_of, unknown_classes, unmatched,
)  # fmt: skip
from dataset.images import EXTENSIONS
from dataset.photo_file import file_error
from dataset.tables import read_table
from dataset.task import Scan, Task

NAME = "photos.csv"
WANTS = (
    f"{NAME} with a row per photo: path (below the folder), label or several factor columns, and optionally "
    "group and split (train or eval)"
)
TRAIN, EVAL = ("train", "val", "valid", "validation"), ("eval", "test")
OWN = ("path", "label", "split")
CONSISTENT = 0.9  # of the photos have the value that most photos of their label have: then it is a factor


class _Rows(NamedTuple):
    """`photos`: a row per valid line: photo, path, group, split, class ('' if unknown) and the factors."""

    photos: pd.DataFrame
    factors: list[str]
    classes: bool  # whether there is a column of labels
    grouped: str  # what a group is called, '' if each photo is its own
    errors: list[str]
    notes: list[str]


def fits(data: Path) -> bool:
    """Whether the folder has a photos.csv."""
    return os.path.lexists(data / NAME)


def scan_train(data: Path, group: str = "") -> Scan:
    """The photos to train on, sorted by group and path; all errors of the CSV."""
    rows = _read(data, group)
    where = str(data / NAME)
    train = rows.photos[rows.photos["split"] == "train"]
    values = {factor: train[factor] for factor in rows.factors}
    task = task_of(values, train["class"] if rows.classes else None, rows.grouped)
    if rows.errors or train.empty:
        errors = rows.errors or [f"{where}: has no photo to train on"]
        return Scan(task, _empty(task), errors)
    if not task.classes or task.n_classes > MAX_CLASSES:
        sizes = ", ".join(f"{factor} {len(names):,}" for factor, names in task.factors.items())
        return Scan(task, _empty(task), [
            f"{where}: more than {MAX_CLASSES:,} classes; the limit is {MAX_CLASSES:,}"
            + (f" (values: {sizes}). A column without label is a factor: is one of them the group (group=COLUMN), "
               "or a number to be cut into bands?" if sizes else "")
        ])  # fmt: skip
    if not rows.classes:
        labels = task.label({factor: train[factor].map(names.index) for factor, names in task.factors.items()})
        train = train.assign(**{"class": [task.classes[label] for label in labels]})
    scan = labelled(task, train, values, where)
    eval_photos = rows.photos[rows.photos["split"] == "eval"]
    errors = scan.errors + both_sides(train["group"], eval_photos["group"], task.group, where)
    errors += unknown_classes(train["class"], eval_photos["class"], where)
    scan.table.attrs["notes"] += rows.notes
    return scan._replace(errors=errors)


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(Photos to predict, in the CSV's order: photo, path, group and class, '' where unknown; all errors)."""
    rows = _read(data, group)
    table = rows.photos.loc[rows.photos["split"] == "eval", ["photo", "path", "group", "class"]]
    table = table.sort_index().reset_index(drop=True)
    table.attrs["notes"] = []
    return table, rows.errors


def _read(data: Path, group: str) -> _Rows:
    csv = data / NAME
    table, errors = read_table(csv, ["path"], others=True)
    if table.empty:
        none = pd.DataFrame(columns=["photo", "path", "group", "split", "class"], dtype=str)
        return _Rows(none, [], True, "", errors or [f"{csv}: lists no photo"], [])
    column = group or "group"
    own = {*OWN, *([column] if column in table else []), "group"}
    others = [name for name in table if name and name not in own]
    if "label" not in table and len(others) < 2:
        hint = f"; should {others[0]!r} be 'label'?" if others else ""
        errors.append(f"{csv}: no column 'label', nor several factor columns; it has {','.join(table)}{hint}")
    if group in OWN:
        errors.append(f"group={group}: this column of {csv} can't be the group; name the column of whose photos they are")
    errors += _path_errors(data, csv, table) + _split_errors(csv, table)
    photos = pd.DataFrame(index=table.index)
    photos["photo"] = [os.path.normpath(os.path.relpath(data / path, data)) for path in table["path"]]
    photos["path"] = [str(data.absolute() / photo) for photo in photos["photo"]]
    split = table["split"].str.lower() if "split" in table else pd.Series("train", table.index)
    photos["split"] = ["eval" if side in EVAL else "train" for side in split]
    train = photos["split"] == "train"
    notes = list(table.attrs["notes"])
    if joined := sorted(set(split) & set(TRAIN[1:])):
        notes.append(f"{csv}: the photos of split {', '.join(joined)} join those of train: folds are made here")
    photos["group"], wrong, grouped = _groups(csv, table, photos, train, group)
    errors += wrong
    factors = others
    if "label" in table:
        photos["class"] = table["label"]
        factors, wrong, more = _factors_beside_labels(csv, table, train, others)
        errors += wrong
        notes += more
    else:
        complete = (table[others] != "").all(axis=1)
        photos["class"] = table[others].agg(" ".join, axis=1).where(complete, "") if others else ""
    for name in ["label"] if "label" in table else factors:
        if (lines := table.index[train & (table[name] == "")]).size:
            errors.append(f"{csv} {lines_text(list(lines))}: no {name}")
    for factor in factors:
        photos[factor] = table[factor]
    if not grouped:
        notes.append(f"{csv}: {UNGROUPED.format(thing='person or thing')}")
    key = photos["group"] if grouped else photos["photo"]
    in_train = photos[train].assign(key=key).sort_values(["key", "photo"], kind="stable").drop(columns="key")
    photos = pd.concat([in_train, photos[~train]])
    return _Rows(photos, factors, "label" in table, grouped, errors, notes)


def _path_errors(data: Path, csv: Path, table: pd.DataFrame) -> list[str]:
    errors, first = [], dict[str, int]()
    root = os.path.normpath(data.absolute())
    for line, path in table["path"].items():
        where = f"{csv} line {line}"
        whole = os.path.normpath(os.path.join(root, path))
        if not path:
            errors.append(f"{where}: no path")
        elif not whole.startswith(root + os.sep):
            errors.append(f"{where}: path {path!r} is outside the data folder; give paths below {data}")
        elif os.path.splitext(path)[1].lower() not in EXTENSIONS:
            errors.append(f"{where}: {path!r} is not a photo by its name ({', '.join(EXTENSIONS)})")
        elif first.setdefault(whole, line) != line:
            errors.append(f"{where}: path {path!r} is listed in line {first[whole]} already; keep one")
        elif why := file_error(whole):
            errors.append(f"{where}: {path}: {why}" if os.path.lexists(whole) else f"{where}: no file {path}")
    return errors


def _split_errors(csv: Path, table: pd.DataFrame) -> list[str]:
    if "split" not in table:
        return []
    known = (*TRAIN, *EVAL)
    return [
        f"{csv} {lines_text(list(lines))}: " + (unknown("split", value, known) if value else "no split")
        for value, lines in table.groupby("split", sort=True).groups.items()
        if value.lower() not in known
    ]


def _groups(
    csv: Path, table: pd.DataFrame, photos: pd.DataFrame, train: pd.Series, group: str
) -> tuple[list[str], list[str], str]:
    """(The group of each photo, errors, what a group is called: '' if each photo is its own)."""
    column = group or "group"
    if column in table:
        errors = []
        if (lines := table.index[train & (table[column] == "")]).size:
            errors = [f"{csv} {lines_text(list(lines))}: no {column}"]
        return table[column].tolist(), errors, column
    if not group:
        return photos["photo"].tolist(), [], ""
    found, errors = groups_of(photos["photo"], group)
    if not errors:
        columns = [name for name in table if name not in OWN]
        hint = f"; and no column has this name: {unknown('column', group, columns)}"
        known = [one for one, use in zip(found, train, strict=True) if use]
        errors = unmatched(photos["photo"][train].tolist(), known, group, hint)
    return found, errors, "group"


def _factors_beside_labels(
    csv: Path, table: pd.DataFrame, train: pd.Series, columns: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """(The columns that are factors of the labels, errors, notes): one value for each label, and each
    combination of values of one label."""
    rows = table[train & (table["label"] != "")]
    errors, notes, factors = [], [], []
    for column in columns:
        usual = rows.groupby("label")[column].agg(lambda values: values.value_counts().sort_index().idxmax())
        expected = rows["label"].map(usual)
        wrong = rows.index[rows[column] != expected]
        if usual.nunique() < 2 or len(wrong) > (1 - CONSISTENT) * len(rows):
            continue
        factors.append(column)
        if len(wrong):
            line = wrong[0]
            errors.append(
                f"{csv} {lines_text(list(wrong))}: {column} contradicts label: {column} of "
                f"{rows.at[line, 'label']!r} is {expected[line]!r} elsewhere, but {rows.at[line, column]!r} here"
            )
    if not errors and factors:
        labels_of = rows.groupby(factors)["label"].nunique()
        sizes = [rows[factor].nunique() for factor in factors]
        if len(factors) < 2 or (labels_of > 1).any():
            factors = []
    if unused := [column for column in columns if column not in factors]:
        notes.append(f"{csv}: columns not used: {few(unused)} (the labels are not their combinations)")
    return factors, errors, notes


def _empty(task: Task) -> pd.DataFrame:
    table = pd.DataFrame(columns=["photo", "path", "group", "label", *task.factors])
    table.attrs["notes"] = []
    return table
