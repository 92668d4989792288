"""Photos with the names of their classes or of factors' values -> their task and the DataFrame of photos."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from common.text import few
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Bands, Scan, Task, rare_labels

TRAIN, EVAL = ("train", "val", "valid", "validation"), ("eval", "test")  # names of the two sides
MAX_CLASSES = 1000
OWN_GROUPS = (
    "no groups are known, so every photo counts as its own: if several photos show the same person or thing, "
    "validation scores will be too high; give group=, a column or a regular expression on the path "
    "(python -m dataset check looks for near-duplicates)"
)


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key by which 'grade 2' comes before 'grade 10'."""
    return [_part(part) for part in re.split(r"(\d+)", name) if part], name


def _part(part: str) -> tuple[int, int, str]:
    """Sort key of digits (as a number; int() has a limit of digits) or of other characters."""
    if not part.isdecimal():
        return 1, 0, part
    digits = part.lstrip("0")
    return 0, len(digits), digits


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names of classes or values, each once: in the home task's order if they are its own, else
    sorted."""
    found = set(names)
    own = next(
        (known for known in (FACE_MASK.classes, *FACE_MASK.factors.values()) if found == set(known)), None
    )
    return own or tuple(sorted(found, key=natural))


def plural(word: str) -> str:
    """The plural of what a group is called."""
    if word == "person":
        return "people"
    if re.search("[^aius]s$", word):  # patients: the column is in the plural already
        return word
    if re.search("[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"


def task_of(
    values: Mapping[str, pd.Series],
    classes: pd.Series | None,
    grouped: str,
    bands: Mapping[str, Bands] | None = None,
) -> Task:
    """The task of labelled photos. `values`: {factor: the name of its value for each photo}; `classes`: the
    name of the class of each photo, None if the classes are the product of the factors. `grouped`: what a
    group is called, '' if each photo is its own. `bands`: of factors that were numbers, whose values are in
    the order of the numbers. A product of more than MAX_CLASSES has no classes."""
    group = grouped or "photo"
    bands = bands or {}
    factors = {
        factor: bands[factor].names if factor in bands else in_order(names)
        for factor, names in values.items()
    }
    named = in_order(classes) if classes is not None else ()
    task = Task("photos", named, factors, group, plural(group), bands=bands)
    if not factors or np.prod(task.sizes, dtype=float) > MAX_CLASSES:
        return task
    cells = list(itertools.product(*factors.values()))
    names = dict(zip(zip(*values.values(), strict=True), classes, strict=True)) if classes is not None else {}
    return replace(task, classes=tuple(names.get(cell, " ".join(cell)) for cell in cells), answers=())


def labelled(task: Task, photos: pd.DataFrame, values: Mapping[str, pd.Series], where: str) -> Scan:
    """The scan of `photos` (photo, path, group, class, the name of the class, and the numbers that factors
    are bands of), in their order, with the task's rare classes; errors of its classes. `where`: the file or
    folder, for messages."""
    number = {name: label for label, name in enumerate(task.classes)}
    table = photos[["photo", "path", "group"]].assign(label=photos["class"].map(number).astype(int))
    for factor, names in task.factors.items():
        table[factor] = values[factor].map(names.index).astype(int)
    for bands in task.bands.values():
        numbers = photos[bands.column]
        table[bands.column] = numbers if (numbers % 1).any() else numbers.astype(int)
    table = table.reset_index(drop=True)
    in_groups = np.bincount(
        table.drop_duplicates(["group", "label"])["label"], minlength=task.n_classes
    ).tolist()
    photos_of = np.bincount(table["label"], minlength=task.n_classes).tolist()
    counted = list(zip(task.classes, photos_of, in_groups, strict=True))
    errors = _too_few([name for name, many, _ in counted if many == 1], "one photo only", where)
    errors += _too_few(
        [name for name, many, groups in counted if many > 1 and groups == 1],
        f"photos of one {task.group} only",
        where,
    )
    present = [name for name, many, _ in counted if many]
    if len(present) < 2:
        errors.append(f"{where}: all photos are of one class ({few(present)}); there must be two or more")
    notes = []
    if absent := [name for name, many, _ in counted if not many]:
        notes.append(
            f"{where}: {len(absent)} of {task.n_classes} classes have no photo, and count 0 in the macro-F1: "
            f"{few(absent)}"
        )
    folded = pd.Series(present, dtype=str).groupby([name.casefold() for name in present]).agg(list)
    if alike := [" and ".join(map(repr, same)) for same in folded if len(same) > 1]:
        notes.append(f"{where}: classes that differ only in upper and lower case: {few(alike)}")
    table.attrs["notes"] = notes
    return Scan(replace(task, rare=rare_labels(in_groups)), table, errors)


def _too_few(names: Sequence[str], what: str, where: str) -> list[str]:
    if not names:
        return []
    if len(names) == 1:
        return [
            f"{where}: class {names[0]!r} has {what}, so it can't be both learned and validated; add photos, "
            "merge it with another class, or leave it out"
        ]
    return [
        f"{where}: {len(names):,} classes have {what} ({few(names)}), so they can't be both learned and "
        "validated; add photos, merge them with other classes, or leave them out"
    ]


def groups_of(photos: Sequence[str], pattern: str) -> tuple[list[str], list[str]]:
    """(The group of each photo by a regular expression on its path: its groups in brackets, else all that it
    matches; '' for a photo that it doesn't match, errors of the pattern itself)."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return [""] * len(photos), [f"group={pattern}: not a regular expression ({error})"]
    found = [compiled.search(photo) for photo in photos]
    return [" ".join(filter(None, one.groups())) or one[0] if one else "" for one in found], []


def unmatched(photos: Sequence[str], groups: Sequence[str], pattern: str, hint: str = "") -> list[str]:
    """[The message on a regular expression `pattern` that gives photos no group, or all photos the same
    group], [] if there is nothing to say."""
    lost = [photo for photo, group in zip(photos, groups, strict=True) if not group]
    which = (
        "no photo" if len(lost) == len(photos) else f"{len(photos) - len(lost):,} of {len(photos):,} photos"
    )
    if lost:
        without = "" if len(lost) == len(photos) else " without a match"
        return [
            f"group={pattern}: this regular expression matches {which}; paths{without} are {few(lost, 3)}"
            f"{hint}"
        ]
    if len(photos) > 1 and len(set(groups)) == 1:
        return [
            f"group={pattern}: this regular expression gives all photos the same group, {groups[0]!r}; "
            "put brackets around the part of the path that says whose photo it is "
            f"(paths are {few(photos, 2)}){hint}"
        ]
    return []


def both_sides(train: Iterable[str], eval_groups: Iterable[str], task: Task, where: str) -> list[str]:
    """[The message on groups with photos to train on and photos to predict], [] if there are none."""
    both = sorted(set(train) & set(filter(None, eval_groups)), key=natural)
    if not both:
        return []
    which = f"1 {task.group} has" if len(both) == 1 else f"{len(both):,} {task.groups} have"
    return [
        f"{where}: {which} photos both to train on and to predict, so a score on the latter would be too "
        f"high: {few(both)}; move all photos of each {task.group} to one side"
    ]


def unknown_classes(known: Iterable[str], eval_classes: Iterable[str], where: str) -> list[str]:
    """[The message on classes of photos to predict ('': unknown) that are none of the task's, `known`], [] if
    there are none. A combination of factors' values is one, though no photo to train on has it."""
    lacking = sorted(set(filter(None, eval_classes)) - set(known), key=natural)
    if not lacking:
        return []
    return [
        f"{where}: the photos to predict have classes that no photo to train on has: {few(lacking)}; "
        "add photos of them to train on, or leave those out"
    ]
