"""Photos with the names of their classes or of factors' values -> their task and the DataFrame of photos."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dataset.face_masks.labels import FACE_MASK
from dataset.task import Scan, Task, rare_labels

MAX_CLASSES = 1000
MAX_NAMES = 5  # in a message


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which 'grade 2' comes before 'grade 10'."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names of classes or values, each once: in the home task's order if they are its own, else sorted."""
    found = set(names)
    own = next((known for known in (FACE_MASK.classes, *FACE_MASK.factors.values()) if found == set(known)), None)
    return own or tuple(sorted(found, key=natural))


def few(names: Sequence[str], limit: int = MAX_NAMES) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(str, names[:limit])) + more


def task_of(values: Mapping[str, pd.Series], classes: pd.Series | None, grouped: str) -> Task:
    """The task of labelled photos. `values`: {factor: the name of its value for each photo}; `classes`: the
    name of the class of each photo, None if the classes are the product of the factors. `grouped`: what a
    group is called, '' if each photo is its own."""
    group = grouped or "photo"
    factors = {factor: in_order(names) for factor, names in values.items()}
    task = Task("photos", in_order(classes) if classes is not None else (), factors, group, f"{group}s")
    if not factors or np.prod(task.sizes) > MAX_CLASSES:
        return task
    cells = list(itertools.product(*factors.values()))
    names = dict(zip(zip(*values.values(), strict=True), classes, strict=True)) if classes is not None else {}
    return replace(task, classes=tuple(names.get(cell, " ".join(cell)) for cell in cells), answers=())


def labelled(task: Task, photos: pd.DataFrame, values: Mapping[str, pd.Series], where: str) -> Scan:
    """The scan of `photos` (photo, path, group, and class, the name of the class), in their order, with the
    task's rare classes; errors of its classes. `where`: the file or folder, for messages."""
    table = photos[["photo", "path", "group"]].assign(label=photos["class"].map(task.classes.index).astype(int))
    for factor, names in task.factors.items():
        table[factor] = values[factor].map(names.index).astype(int)
    table = table.reset_index(drop=True)
    groups = table.drop_duplicates(["group", "label"])["label"]
    counts = np.bincount(groups, minlength=task.n_classes)
    photos_of = np.bincount(table["label"], minlength=task.n_classes)
    errors = []
    if len(set(table["label"])) < 2:
        errors.append(f"{where}: all photos are of one class ({few(sorted(set(photos['class'])))}); it needs two or more")
    for name, of_groups, of_photos in zip(task.classes, counts, photos_of, strict=True):
        if of_groups == 1 and len(errors) < MAX_CLASSES:
            what = "one photo" if of_photos == 1 else f"photos ({of_photos}) of one {task.group}"
            errors.append(
                f"{where}: class {name!r} has {what} only, so it can't be both learned and validated; "
                "add photos, merge it with another class, or leave it out"
            )
    table.attrs["notes"] = []
    if absent := [name for name, number in zip(task.classes, photos_of, strict=True) if not number]:
        table.attrs["notes"].append(
            f"{where}: {len(absent)} of {task.n_classes} classes have no photo, and count 0 in the macro-F1: {few(absent)}"
        )
    return Scan(replace(task, rare=rare_labels(counts)), table, errors)


def groups_of(photos: Sequence[str], pattern: str) -> tuple[list[str], list[str]]:
    """(The group of each photo by a regular expression on its path: its groups in brackets, else all that it
    matches; '' for a photo that it doesn't match, errors of the pattern itself)."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return [""] * len(photos), [f"group={pattern!r}: not a regular expression ({error})"]
    found = [compiled.search(photo) for photo in photos]
    return [" ".join(part or "" for part in one.groups()) or one[0] if one else "" for one in found], []


def unmatched(photos: Sequence[str], groups: Sequence[str], pattern: str, hint: str = "") -> list[str]:
    """[The message on photos that the regular expression `pattern` gives no group], [] if there are none."""
    lost = [photo for photo, group in zip(photos, groups, strict=True) if not group]
    if not lost:
        return []
    which = "no photo" if len(lost) == len(photos) else f"{len(lost):,} of {len(photos):,} photos not"
    return [
        f"group={pattern!r}: this regular expression matches {which}"
        + (f": {few(lost, 3)}" if lost else "") + hint
    ]


def both_sides(train: Iterable[str], eval_groups: Iterable[str], group: str, where: str) -> list[str]:
    """[The message on groups with photos to train on and photos to predict], [] if there are none."""
    both = sorted(set(train) & set(filter(None, eval_groups)), key=natural)
    if not both:
        return []
    return [
        f"{where}: {len(both):,} {group}{'s have' if len(both) > 1 else ' has'} photos both to train on and to "
        f"predict, so a score on the latter would be too high: {few(both)}; move all photos of a {group} to one side"
    ]


def unknown_classes(train: Iterable[str], eval_classes: Iterable[str], where: str) -> list[str]:
    """[The message on classes that only photos to predict have ('': unknown)], [] if there are none."""
    lacking = sorted(set(filter(None, eval_classes)) - set(train), key=natural)
    if not lacking:
        return []
    return [
        f"{where}: the photos to predict have classes that no photo to train on has: {few(lacking)}; "
        "add photos of them to train on, or leave those out"
    ]


UNGROUPED = (
    "no groups are known, so every photo counts as its own: if several photos show the same {thing}, validation "
    "scores will be too high; give group=, a column or a regular expression on the path (python -m dataset check "
    "looks for near-duplicates)"
)
