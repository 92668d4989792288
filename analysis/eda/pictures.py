"""The pictures of the data page, as data URLs."""

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd

from analysis.eda import facts
from common.errors import UsageError
from dataset.pixels import read_photo, resize
from dataset.suspect import Suspect
from dataset.task import Task

if TYPE_CHECKING:
    from trial.augment.policies import Policy

SAMPLES = 4
SAMPLE_HEIGHT = 160  # pixels; displayed smaller, so that they are sharp on high-density screens
SAMPLE_WIDTH = 320
SHOWN_HEIGHT, GAP = 106, 6  # pixels on the page
SMALL = 60  # pixels; smaller photos are enlarged with hard edges, so that their pixels are seen
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
        4
        + round(SAMPLES * min(SHOWN_HEIGHT * aspect, SAMPLE_WIDTH * SHOWN_HEIGHT / SAMPLE_HEIGHT))
        + (SAMPLES - 1) * GAP
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
            {"title": title, "pictures": [_data_url(seen[number]) for seen in times]}
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
        titles = titles + ", " + photos[bands.column].astype(str) + f" {bands.unit}"
    return displayed(photos["path"], titles)


def displayed(paths: Collection[str], titles: Collection[str]) -> list[dict[str, str]]:
    """The photos that can be decoded, each as a small picture (a data URL) with its title."""
    found = []
    for path, title in zip(paths, titles, strict=True):
        try:
            pixels = read_photo(path)
        except UsageError:
            continue
        found.append({"url": _data_url(_at_size(pixels)), "title": title})
    return found


def _at_size(photo: np.ndarray) -> np.ndarray:
    """The photo inside SAMPLE_HEIGHT x SAMPLE_WIDTH, enlarged if it is SMALL."""
    height, width = photo.shape[:2]
    if max(height, width) < SMALL:
        times = SAMPLE_HEIGHT // max(height, width)
        return resize(photo, (height * times, width * times), "nearest")
    scale = min(SAMPLE_HEIGHT / height, SAMPLE_WIDTH / width)
    return (
        photo if scale >= 1 else resize(photo, (max(1, round(height * scale)), max(1, round(width * scale))))
    )


def _data_url(photo: np.ndarray) -> str:
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + b64encode(jpeg.tobytes()).decode()
