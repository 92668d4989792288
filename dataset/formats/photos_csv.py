"""The format photos.csv: one row per photo, with its path and its label or factors."""

import itertools
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from common.errors import unknown
from common.text import few, lines_text
from dataset.formats import cut_points
from dataset.formats.labelled import (
    EVAL,
    MAX_CLASSES,
    OWN_GROUPS,
    TRAIN,
    both_sides,
    groups_of,
    labelled,
    task_of,
    unknown_classes,
    unmatched,
)
from dataset.images import EXTENSIONS
from dataset.photo_file import file_error
from dataset.tables import empty_table, read_table
from dataset.task import Bands, Scan

NAME = "photos.csv"
WANTS = (
    f"{NAME} with a row per photo: path (below the folder), label or several factor columns, and optionally "
    "group and split (train or eval)"
)
OWN = ("path", "label", "split")
MAX_PATH = 4096  # characters, as on Linux
RESERVED = (
    "photo",
    "class",
    "fold",
    "copy",
)  # columns of the DataFrame or of predictions: they are no factors
# What others call label and path.
LABEL_NAMES = ("class", "classes", "labels", "target", "targets", "category")
PATH_NAMES = (
    "file", "filename", "file_name", "filepath", "file_path", "image", "images", "image_path", "img", "photo",
)  # fmt: skip
CONSISTENT = 0.9  # of the photos have the value that most photos of their label have: then it may be a factor
MAX_FACTORS = 10
COLUMNS = ["photo", "path", "group", "class"]


class _Rows(NamedTuple):
    """What the CSV says. `photos`: a row per line, by its number: photo, path, group, class ('' if unknown),
    split (train, eval or ''), the factors, and the numbers that they are bands of."""

    photos: pd.DataFrame
    factors: list[str]
    classes: bool  # whether there is a column of labels
    grouped: str  # what a group is called, '' if each photo is its own
    errors: list[str]
    notes: list[str]
    groups_known: bool = True  # the regular expression of the groups fits
    bands: Mapping[str, Bands] = MappingProxyType({})  # of factors that were numbers
    lost: Collection[int] = ()  # the lines whose photo is not there


def fits(data: Path) -> bool:
    """Whether the folder has a photos.csv."""
    return os.path.lexists(data / NAME)


def scan_train(data: Path, group: str = "") -> Scan:
    """The photos to train on, sorted by group and path; all errors of the CSV."""
    rows, where = _read(data, group, "train"), str(data / NAME)
    train = rows.photos[rows.photos["split"] == "train"]
    if train.empty and not rows.errors:
        rows.errors.append(f"{where}: has no photo to train on")
    train = train[(train["class"] != "") & (train["group"] != "")]
    train = train.sort_values(["group", "photo"], kind="stable")
    values = {factor: train[factor] for factor in rows.factors}
    task = task_of(values, train["class"] if rows.classes else None, rows.grouped, rows.bands)
    if train.empty:
        return Scan(task, empty_table([*COLUMNS[:3], "label", *task.factors]), rows.errors)
    if error := _classes_error(task.classes, values, where):
        table = empty_table([*COLUMNS[:3], "label", *task.factors])
        return Scan(task, table, [*rows.errors, error])
    scan = labelled(task, train, values, where)
    eval_photos = rows.photos[rows.photos["split"] == "eval"]
    errors = list(rows.errors)
    if rows.groups_known:  # else these would be further errors of one cause
        errors += scan.errors
    if rows.grouped and rows.groups_known:
        errors += both_sides(train["group"], eval_photos["group"], task, where)
    errors += unknown_classes(task.classes, eval_photos["class"], where)
    notes = [*rows.notes, *scan.table.attrs["notes"]]
    table = scan.table[~train.index.isin(rows.lost)].reset_index(drop=True)
    table.attrs["notes"] = notes
    return Scan(scan.task, table, errors)


def scan_eval(data: Path, group: str = "") -> tuple[pd.DataFrame, list[str]]:
    """(Photos to predict, in the CSV's order: photo, path, group and class, '' where unknown; all errors)."""
    rows = _read(data, group, "eval")
    wanted = (rows.photos["split"] == "eval") & ~rows.photos.index.isin(rows.lost)
    table = rows.photos.loc[wanted, COLUMNS].reset_index(drop=True)
    table.attrs["notes"] = []
    return table, rows.errors


def named(data: Path) -> set[str]:
    """The paths below the folder of the files that the CSV names, whether they are there or not."""
    table, _ = read_table(data / NAME, ["path"])
    root = os.path.normpath(data.absolute()) + os.sep
    whole = (os.path.normpath(os.path.join(root, path)) for path in table["path"])
    return {path.removeprefix(root) for path in whole if path.startswith(root)}


def _classes_error(classes: tuple[str, ...], values: dict[str, pd.Series], where: str) -> str:
    """Why these can't be the classes; '' if they can."""
    if not classes or len(classes) > MAX_CLASSES:
        sizes = ", ".join(f"{factor} has {names.nunique():,}" for factor, names in values.items())
        return f"{where}: more than {MAX_CLASSES:,} classes" + (
            f" as the product of the columns' values ({sizes}). Without a column label every column is a "
            "factor: name the one that says whose photo it is (group=COLUMN), cut numbers into bands (name "
            f"the column {cut_points.FORM}), remove others"
            if values
            else f" ({len(classes):,} labels): name the column of classes label"
        )
    if len(set(classes)) < len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        return (
            f"{where}: different values of the factors give classes of one name: {few(twice)}; rename a value"
        )
    return ""


def misfit(data: Path) -> bool:
    """Whether the CSV has not the columns of this format."""
    return bool(_table(data / NAME, "")[2])


def _read(data: Path, group: str, half: str) -> _Rows:
    """The whole CSV; errors of the file, and those of the lines of one `half`."""
    csv = data / NAME
    table, errors, unfit, bands = _table(csv, group)
    if table.empty or unfit:
        empty = empty_table([*COLUMNS, "split"])
        return _Rows(empty, [], True, "", [*errors, *unfit] or [f"{csv}: lists no photo"], [])
    split = table["split"].str.lower() if "split" in table else pd.Series("train", table.index)
    sides = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(EVAL, "eval")}
    photos = pd.DataFrame({"split": split.map(sides).fillna("")}, index=table.index)
    root = os.path.normpath(data.absolute())
    whole = [os.path.normpath(os.path.join(root, path)) for path in table["path"]]
    photos["photo"] = [path.removeprefix(root + os.sep) for path in whole]
    photos["path"] = [os.path.join(data.absolute(), path) for path in photos["photo"]]
    mine, train = photos["split"] == half, photos["split"] == "train"
    errors += _split_errors(csv, table)
    wrong = _path_errors(data, csv, table, whole)
    errors += _missing(
        {line: why for line, why in wrong.items() if mine[line] or not photos.at[line, "split"]},
        csv,
        table[mine],
        data,
    )
    notes = list(table.attrs["notes"])
    if joined := sorted(set(split) & set(TRAIN[1:])):
        notes.append(
            f"{csv}: the photos of split {', '.join(joined)} join those of train: folds are made here"
        )
    photos["group"], group_errors, grouped = _groups(csv, table, photos, train, group)
    others = [name for name in table if name not in (*OWN, *RESERVED, "group", group)]
    named, numbers, cut_errors = cut_points.cut(csv, table, bands, train, mine)
    written, table = table, table.assign(**named)
    photos["class"], factors, class_errors = _classes(csv, table, train, others, bands)
    errors += cut_errors + class_errors
    spare = [name for name in table if name in (*RESERVED, "group" if group else "") and name != group]
    if train.any() and (unused := [name for name in [*others, *spare] if name not in factors]):
        why = (
            "the labels are not their combinations"
            if "label" in table
            else "they have one value only, or another meaning"
        )
        notes.append(f"{csv}: columns not used: {few(unused)} ({why})")
    if half == "train":
        errors += group_errors
        for name in ["label"] if "label" in table else dict.fromkeys([*factors, *bands]):
            if (lines := table.index[train & (written[name] == "")]).size:
                what = bands[name].column if name in bands else name
                errors.append(f"{csv} {lines_text(list(lines))}: no {what}")
    for name in dict.fromkeys(["path", "label", group or "group", *factors]):
        if name in table and len(broken := table.index[table[name].str.contains("[\r\n]")]):
            errors.append(f"{csv} {lines_text(list(broken))}: a line break in {name}; remove it")
    if not grouped:
        notes.append(f"{csv}: {OWN_GROUPS}")
    for factor in factors:
        photos[factor] = table[factor]
    for column, found in numbers.items():
        photos[column] = found
    return _Rows(
        photos,
        factors,
        "label" in table,
        grouped,
        errors,
        notes,
        not group_errors or (group or "group") in table,
        {factor: own for factor, own in bands.items() if factor in factors},
        list(wrong),
    )


def _table(csv: Path, group: str) -> tuple[pd.DataFrame, list[str], list[str], dict[str, Bands]]:
    """(The CSV as text by line, empty if it can't be read, columns with cut points under the names of their
    factors; errors of the file; errors of the names of its columns; {factor: its bands})."""
    table, errors = read_table(csv, ["path"], others=True)
    if not table.empty:
        taken = {*OWN, *RESERVED, "group", group}
        table, bands, wrong = cut_points.declared(csv, table, taken)
        return table, errors + wrong, _column_errors(csv, table, group, bool(bands or wrong)), bands
    other, _ = read_table(csv, [], others=True)  # it only lacks the column path
    return table, [] if len(other) else errors, [] if other.empty else _column_errors(csv, other, group), {}


def _column_errors(csv: Path, table: pd.DataFrame, group: str, cut: bool = False) -> list[str]:
    """What is wrong with the names of the columns. `cut`: one has cut points, and is a factor by itself."""
    own, has = (*OWN, "group"), ",".join(table)
    written = {
        name: name.strip().lower()
        for name in table
        if name not in own and name.strip().lower() in own and name.strip().lower() not in table
    }
    errors = [f"{csv}: should column {name!r} be {meant!r}?" for name, meant in written.items()]
    of_path = ""
    if not {"path"} & {*table, *written.values()}:
        of_path = next((name for name in table if name.strip().lower() in PATH_NAMES), "")
        hint = f"; should {of_path!r} be 'path'?" if of_path else ""
        errors.append(f"{csv}: no column 'path'; it has {has}{hint}")
    if group in OWN:
        errors.append(
            f"group={group}: that column of {csv} can't be the group; name which says whose photo it is"
        )
    train = table["split"].str.lower().isin(TRAIN) if "split" in table else pd.Series(True, table.index)
    if cut or {"label"} & {*table, *written.values()} or not train.any():  # photos to predict need no class
        return errors
    meant = next((name for name in table if name.strip().lower() in LABEL_NAMES), "")
    others = [name for name in table if name not in (*own, *RESERVED, *written, group, of_path)]
    varying = [name for name in others if table.loc[train, name].nunique() > 1]
    if meant or len(varying) < 2:
        meant = meant or next(iter(varying), "")
        hint = f"; should {meant!r} be 'label'?" if meant else ""
        errors.append(
            f"{csv}: no column 'label', nor several factor columns with two values or more; "
            f"it has {has}{hint}"
        )
    return errors


def _path_errors(data: Path, csv: Path, table: pd.DataFrame, absolute: list[str]) -> dict[int, str]:
    """{line: the error of its path}. `absolute`: the paths, absolute and without '..'."""
    errors, first = dict[int, str](), dict[str, int]()
    root = os.path.normpath(data.absolute())
    for (line, path), whole in zip(table["path"].items(), absolute, strict=True):
        where = f"{csv} line {line}"
        if not path:
            errors[line] = f"{where}: no path"
        elif len(path) > MAX_PATH:
            errors[line] = f"{where}: a path of {len(path):,} characters"
        elif not whole.startswith(root + os.sep):
            errors[line] = f"{where}: path {path!r} is outside the data folder; give paths below {data}"
        elif os.path.splitext(path)[1].lower() not in EXTENSIONS:
            errors[line] = f"{where}: {path!r} is not a photo by its name ({', '.join(EXTENSIONS)})"
        elif first.setdefault(whole, line) != line:
            errors[line] = f"{where}: path {path!r} is listed in line {first[whole]} already; keep one"
        elif why := file_error(whole):
            hint = "; write paths with /" if "\\" in path else ""
            errors[line] = (
                f"{where}: {path}: {why}" if os.path.lexists(whole) else f"{where}: no file {path}{hint}"
            )
    return errors


def _missing(errors: dict[int, str], csv: Path, table: pd.DataFrame, data: Path) -> list[str]:
    """The errors of paths; one if no file is where the CSV says."""
    if len(table) > 1 and len(errors) == len(table) and all(": no file " in why for why in errors.values()):
        paths = few(table["path"].tolist(), 2)
        return [f"{csv}: none of its {len(table):,} photos exists ({paths}); give paths below {data}"]
    return list(errors.values())


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
        return table[column].tolist(), errors, "group" if column == "photo" else column
    if not group:
        return photos["photo"].tolist(), [], ""
    found, errors = groups_of(photos["photo"], group)
    columns = [name for name in table if name not in OWN]
    hint = f"; and no column has this name: {unknown('column', group, columns)}"
    if errors:
        return found, [errors[0] + hint], "group"
    known = [one for one, use in zip(found, train, strict=True) if use]
    return found, unmatched(photos["photo"][train].tolist(), known, group, hint), "group"


def _classes(
    csv: Path, table: pd.DataFrame, train: pd.Series, columns: list[str], bands: Mapping[str, Bands]
) -> tuple[pd.Series | list[str], list[str], list[str]]:
    """(The class of each photo, '' if unknown; which of the `columns` are its factors; errors)."""
    if "label" not in table:
        factors = [name for name in columns if table.loc[train, name].nunique() > 1]
        cells = table[factors].to_numpy()  # a row for each photo, also without factors
        return [" ".join(cell) if all(cell) else "" for cell in cells], factors, []
    factors, errors = _factors_beside_labels(csv, table, train & (table["label"] != ""), columns)
    idle = [own.column for name, own in bands.items() if name not in factors]
    if idle and not errors and train.any():
        errors.append(
            f"{csv}: the labels are not the combinations of the bands of {few(idle)} and other columns; "
            "remove the column label or the cut points"
        )
    return table["label"], factors, errors


def _factors_beside_labels(
    csv: Path, table: pd.DataFrame, known: pd.Series, columns: list[str]
) -> tuple[list[str], list[str]]:
    """(The columns whose combinations are exactly the labels of the `known` rows, errors of rows that
    contradict them). Up to a tenth of the rows may contradict, else a column is no factor."""
    rows = table[known]
    usual = {}
    for column in columns:
        counts = rows.groupby(["label", column], sort=True).size()
        values = counts.groupby(level=0).idxmax().map(lambda most: most[1])
        same = (rows[column] == rows["label"].map(values)).mean()
        if same >= CONSISTENT and 1 < values.nunique() < len(values) and (values != "").all():
            usual[column] = values
    candidates = {column: values.nunique() for column, values in list(usual.items())[:MAX_FACTORS]}
    n_labels = rows["label"].nunique()
    for number in range(2, len(candidates) + 1):
        for factors in itertools.combinations(candidates, number):
            if math.prod(candidates[factor] for factor in factors) != n_labels:
                continue
            cells = pd.DataFrame({factor: usual[factor] for factor in factors})
            if not cells.duplicated().any():
                wrong = [
                    line for factor in factors for line in _contradictions(csv, rows, factor, usual[factor])
                ]
                return ([] if wrong else list(factors)), wrong
    return [], []


def _contradictions(csv: Path, rows: pd.DataFrame, factor: str, usual: pd.Series) -> list[str]:
    expected = rows["label"].map(usual)
    wrong = rows.index[rows[factor] != expected]
    if wrong.empty:
        return []
    line = wrong[0]
    return [
        f"{csv} {lines_text(list(wrong))}: {factor} contradicts label: that of {rows.at[line, 'label']!r} "
        f"is {expected[line]!r} elsewhere, but {rows.at[line, factor]!r} here; correct one of them, or "
        "remove the column"
    ]
