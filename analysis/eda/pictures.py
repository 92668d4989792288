"""The pictures of the data page, as data URLs."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.eda import facts
from analysis.report.pictures import HEIGHT, WIDTH, data_url, displayed
from dataset.suspect import Suspect
from dataset.task import Task

if TYPE_CHECKING:
    from trial.augment.policies import Policy

SAMPLES = 4
SHOWN_HEIGHT, GAP = 106, 6  # pixels on the page
MAX_SUSPECTS = 30  # per kind


def by_class(task: Task, table: pd.DataFrame, labels: Collection[int], seed: int) -> list[dict[str, Any]]:
    """Each of the classes `labels` with its sample photos; a photo that can't be decoded is skipped."""
    return [
        {"name": task.classes[label], "pictures": _pictures(task, photos)}
        for label, photos in facts.samples(task, table, SAMPLES, seed, labels).items()
    ]


def row_width(headers: pd.DataFrame) -> int:
    """The width in pixels on the page that a class's sample photos need side by side, for most photos."""
    aspect = (headers["width"] / headers["height"]).quantile(0.75) if len(headers) else 1
    return (
        4 + round(SAMPLES * min(SHOWN_HEIGHT * aspect, WIDTH * SHOWN_HEIGHT / HEIGHT)) + (SAMPLES - 1) * GAP
    )


def of_policies(
    policies: "Sequence[Policy]", task: Task, table: pd.DataFrame, seed: int
) -> list[dict[str, Any]]:
    """Each policy with its steps and one row per sample photo: the original, then augmented ones."""
    if not policies:
        return []
    from analysis.eda import augment

    photos, shown = augment.samples(task, table, seed)
    column, names = facts.shown_by(task)
    titles = [
        f"{names[value]}: {photo}" for value, photo in zip(photos[column], photos["photo"], strict=True)
    ]
    found = []
    for policy in policies:
        times = [shown, *augment.augmented(policy, shown, photos.index.to_numpy(), seed)]
        rows = [
            {"title": title, "pictures": [data_url(seen[number]) for seen in times]}
            for number, title in enumerate(titles)
        ]
        found.append({"name": policy.name, "steps": augment.steps_of(policy), "rows": rows})
    return found


def of_suspects(found: Mapping[str, Sequence[Suspect]]) -> list[dict[str, Any]]:
    """Each kind of suspect with its first MAX_SUSPECTS."""
    return [
        {
            "title": title,
            "rows": [
                {"where": one.where, "why": one.why, "pictures": displayed(one.paths, [""] * len(one.paths))}
                for one in some[:MAX_SUSPECTS]
            ],
            "more": max(0, len(some) - MAX_SUSPECTS),
        }
        for title, some in found.items()
    ]


def _pictures(task: Task, photos: pd.DataFrame) -> list[dict[str, str]]:
    """The `photos` that can be decoded, with their names and the numbers that factors were made of."""
    titles = photos["photo"]
    for bands in task.bands.values():
        titles = titles + ", " + photos[bands.column].map(bands.text).astype(str)
    return displayed(photos["path"], titles)
