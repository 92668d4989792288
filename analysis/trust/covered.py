"""What a score does not cover: classes without photos, and those of too few groups for any conclusion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.text import few
from dataset.task import Task

FEW = 5  # groups: the recall of a class seen in fewer is anything from a half to all
NAMES = 12  # of classes in a sentence


def not_covered(labels: np.ndarray, groups: np.ndarray | None, task: Task) -> dict[str, Any]:
    """{"absent": names of classes without a photo, "few": {name: groups} of those with fewer than FEW groups,
    "counted": the word for groups}; photos count where `groups` (photos,) are not known (None)."""
    own = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    pairs = np.unique(np.stack([labels, own]), axis=1)[0]
    counts = np.bincount(pairs, minlength=task.n_classes)
    named = dict(zip(task.classes, counts.tolist(), strict=True))
    return {
        "absent": [name for name, number in named.items() if number == 0],
        "few": {name: number for name, number in named.items() if 0 < number < FEW},
        "counted": "photos" if groups is None else task.groups,
    }


def coverage_lines(found: dict[str, Any], whose: str) -> list[str]:
    """Sentences for people; [] if all is covered. `whose`: what is scored ('validation', 'the answers')."""
    lines = []
    if absent := found["absent"]:
        lines.append(
            f"not covered: {len(absent)} class{'es' if len(absent) > 1 else ''} without a photo in {whose}, "
            f"which count 0 in the macro-F1: {few(absent, NAMES)}"
        )
    if rare := found["few"]:
        named: Sequence[str] = [f"{name} ({number})" for name, number in rare.items()]
        lines.append(
            f"not covered: too few {found['counted']} in {whose} for any conclusion on {few(named, NAMES)}"
        )
    return lines
