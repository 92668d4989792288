"""The pictures of the data page, as data URLs."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd

from analysis.eda import facts
from analysis.eda.suspects import Suspect
from common.errors import UsageError
from dataset.face_masks.labels import CLASS_NAMES, MASKS
from dataset.pixels import read_photo, resize

if TYPE_CHECKING:
    from trial.augment.policies import Policy

SAMPLES = 4
SAMPLE_HEIGHT = 160  # pixels; displayed smaller, so that they are sharp on high-density screens
MAX_SUSPECTS = 30  # per kind


def by_class(table: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Each class with its sample photos; a photo that can't be decoded is skipped."""
    return [
        {"name": CLASS_NAMES[label], "pictures": _pictures(photos)}
        for label, photos in facts.samples(table, SAMPLES, seed).items()
    ]


def of_policies(policies: "Sequence[Policy]", table: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Each policy with its steps and one row per sample photo: the original, then augmented ones."""
    if not policies:
        return []
    from analysis.eda import augment

    photos, shown = augment.samples(table, seed)
    titles = [f"{MASKS[row.mask]}: {row.photo}" for row in photos.itertuples()]
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
                {"where": one.where, "why": one.why, "pictures": _pictures(pd.DataFrame({"path": one.paths}))}
                for one in some[:MAX_SUSPECTS]
            ],
            "more": max(0, len(some) - MAX_SUSPECTS),
        }
        for title, some in found.items()
    ]


def _pictures(photos: pd.DataFrame) -> list[dict[str, str]]:
    """The `photos` (path, and optionally photo and age) that can be decoded."""
    found = []
    for photo in photos.itertuples():
        try:
            pixels = read_photo(photo.path)
        except UsageError:
            continue
        title = f"{photo.photo}, {photo.age} years" if "photo" in photos else ""
        found.append({"url": _data_url(_no_higher(pixels)), "title": title})
    return found


def _no_higher(photo: np.ndarray) -> np.ndarray:
    height, width = photo.shape[:2]
    if height <= SAMPLE_HEIGHT:
        return photo
    return resize(photo, (SAMPLE_HEIGHT, max(1, round(width * SAMPLE_HEIGHT / height))))


def _data_url(photo: np.ndarray) -> str:
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + b64encode(jpeg.tobytes()).decode()
