"""Check a data set: all its errors in one list, or a summary of its task, groups and photos."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from common.errors import UsageError, errors_of
from common.text import few
from dataset.decode import decode
from dataset.face_masks.corrections import read_corrections
from dataset.factors import groups_by_two, of_groups
from dataset.near_duplicates import find
from dataset.pixels import decode_all
from dataset.read import corrected, format_of, scan_eval, scan_train
from dataset.split import balance
from dataset.tables import empty_table
from dataset.task import Task

MAX_PAIRS = 10  # of near-duplicates in the summary
DARK = 64  # no photo has an upper byte as large: then it is no upper byte
MAX_CLASSES = 60  # with a line of their own in the summary
MAX_WIDTH = 40  # of the column of their names


class Checked(NamedTuple):
    """A data set without errors: its task, the photos to train on, and those to predict (see
    dataset.read)."""

    task: Task
    train: pd.DataFrame
    eval_photos: pd.DataFrame


def check(
    data: Path,
    corrections: str | Path | None = None,
    with_eval: bool = True,
    progress: bool = False,
    group: str = "",
) -> Checked:
    """Check a data set and decode every photo; without `with_eval` the photos to predict are left out.

    UsageError with every error: folders, names, CSVs, classes, groups, corrections and photos.
    """
    data = Path(data)
    task, train, errors = scan_train(data, group)
    if not errors:
        try:
            train = corrected(task, train, corrections)
        except UsageError as error:
            errors += error.errors
    elif corrections:  # they can't be applied while groups are missing from the table
        errors += errors_of(read_corrections, corrections)
    eval_photos = empty_table(["photo", "path"])
    if with_eval and data.is_dir():
        eval_photos, eval_errors = scan_eval(data, group)
        errors += eval_errors
    undecodable, deep = decode_all(pd.concat([train["path"], eval_photos["path"]]), progress)
    if errors := errors + undecodable:
        raise UsageError(dict.fromkeys(errors))
    train.attrs["notes"] += _dark(deep)
    return Checked(task, train, eval_photos)


def summary(data: Path, checked: Checked, folds: int, seed: int) -> list[str]:
    """Lines with what was understood: format, task, classes with counts, groups, the balance of folds,
    notes."""
    task, train, eval_photos = checked
    groups = "" if task.group == "photo" else f"{train['group'].nunique():,} {task.groups}, "
    factors = " x ".join(f"{name} {len(values)}" for name, values in task.factors.items())
    lines = [
        f"read as: {format_of(Path(data))}; {task.n_classes} classes" + (f" ({factors})" if factors else ""),
        f"train: {groups}{len(train):,} photos; eval: {len(eval_photos):,} photos",
    ]
    lines += _classes(task, train) + _cross(task, train) + _balance(task, train, folds, seed)
    return [*lines, *train.attrs["notes"], *eval_photos.attrs["notes"]]


def look_alikes(train: pd.DataFrame) -> list[str]:
    """Lines on photos that are nearly the same, of a set in which each photo is its own group."""
    found = find(train, progress=True)
    some = [
        f"  {pair.one}, {pair.other} (correlation {pair.correlation:.2f})" for pair in found.pairs[:MAX_PAIRS]
    ]
    more = len(found.pairs) - len(some)
    lines = [f"near-duplicates: {len(found.pairs):,} pairs of photos; is each one group?", *some]
    lines += [f"  and {more:,} more"] if more else []
    lines += [f"  {found.limit}"] if found.limit else []
    return lines if found.pairs or found.limit else ["near-duplicates: none found"]


def _dark(deep: Sequence[str | Path]) -> list[str]:
    """[A note on the PNGs of 16 bits `deep` if they hold 14 or fewer, 12 from a scientific camera, say], []
    if there are none. They are read nearly black."""
    brightest = 0
    for path in deep:
        _, photo = decode(path)
        brightest = max(brightest, 0 if photo is None else int(photo.max()))
        if brightest >= DARK:
            return []
    if not deep:
        return []
    bits = brightest.bit_length()
    return [
        f"{len(deep):,} photos are PNGs of 16 bits, whose upper bytes are read: the largest is {brightest} "
        f"of 255; if they hold {8 + bits} bits, multiply their values by {2 ** (8 - bits)}"
    ]


def _classes(task: Task, train: pd.DataFrame) -> list[str]:
    photos = np.bincount(train["label"], minlength=task.n_classes)
    groups = np.bincount(train.drop_duplicates(["group", "label"])["label"], minlength=task.n_classes)
    width = min(MAX_WIDTH, max(map(len, task.classes)))
    own = task.group == "photo"
    lines = [
        f"  {name:{width}} {photos[label]:7,} photos"
        + ("" if own else f" of {groups[label]:,} {task.groups if groups[label] != 1 else task.group}")
        + ("  (rare)" if label in task.rare else "")
        for label, name in enumerate(task.classes)
    ]
    more = len(lines) - MAX_CLASSES
    return lines[:MAX_CLASSES] + ([f"  and {more:,} more classes"] if more > 0 else [])


def _cross(task: Task, train: pd.DataFrame) -> list[str]:
    """Groups by each pair of the factors that are the same for all photos of a group."""
    lines = []
    for first, second in combinations(of_groups(task, train) if task.group != "photo" else (), 2):
        for name, *counts, total in groups_by_two(task, train, first, second).iloc[:-1].itertuples():
            of_second = zip(task.factors[second], counts, strict=True)
            each = ", ".join(f"{value} {count}" for value, count in of_second)
            lines.append(f"  {name}: {total} {task.groups} ({each})")
    return lines


def _balance(task: Task, train: pd.DataFrame, folds: int, seed: int) -> list[str]:
    """How evenly the folds have the classes, and the classes that a fold lacks."""
    parts = balance(train, folds, seed, task)
    parts = parts[parts.sum(axis=1) > 0]
    worst = (parts - 1 / folds).abs().max(axis=1).idxmax()
    low, high = parts.loc[worst].min(), parts.loc[worst].max()
    lines = [
        f"{folds} folds by {task.group} (seed {seed}): each has about {1 / folds:.0%} of every class; "
        f"least even: {worst}, from {low:.0%} to {high:.0%}"
    ]
    lacking = {fold: parts.index[parts[fold] == 0].tolist() for fold in parts}
    only = {fold: parts.index[parts[fold] == 1].tolist() for fold in parts}
    for side, of_fold in (("validation", lacking), ("training", only)):
        lines += [f"fold {fold}: {side} lacks {few(names)}" for fold, names in of_fold.items() if names]
    return lines
