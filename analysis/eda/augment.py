"""Augmentation policies on a few sample photos, as a trial applies them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from analysis.eda.facts import MAX_ROWS, shown_by
from common.errors import UsageError, errors_of
from common.text import value_text
from dataset.pixels import read_photo, resize
from dataset.task import Task
from trial.augment.pipeline import batch_transform, photo_transform
from trial.augment.policies import Policy, parse_policy
from trial.commands.arguments import parse_arguments
from trial.preprocessing import Preprocessing
from trial.rng import Draw, stream

TIMES = 6
HEIGHT = 160  # pixels
WHERE = {"photo": "photo by photo", "batch": "on whole batches"}


def read_policies(words: Sequence[str]) -> list[Policy]:
    """Parse policies, each a name or a JSON list of steps. UsageError with all errors."""
    errors: list[str] = []
    read = [parse_policy(parse_arguments([f"augment={word}"])["augment"], errors) for word in words]
    found = [policy for policy in read if policy is not None]
    for policy in found:
        errors += errors_of(photo_transform, policy, (HEIGHT, HEIGHT))
    if errors:
        raise UsageError(dict.fromkeys(errors))
    return found


def steps_of(policy: Policy) -> list[tuple[str, str, str]]:
    """(name, parameters, where it runs) of each step."""
    return [
        (
            step.choice.name,
            value_text(dict(step.choice.params)) if step.choice.params else "",
            WHERE[step.on],
        )
        for step in policy.steps
    ]


def samples(task: Task, table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """(One photo in `table` of each value of the first factor, or of each class if there are no factors, at
    most MAX_ROWS, if possible of different groups; their pixels, uint8 (photos, HEIGHT, width, 3)). A photo
    that can't be decoded is skipped."""
    shuffled = table.iloc[np.random.default_rng(seed).permutation(len(table))]
    column, _ = shown_by(task)
    chosen: dict[int, np.ndarray] = {}
    for value in sorted(table[column].unique())[:MAX_ROWS]:
        photos = shuffled[shuffled[column] == value]
        shown = photos["group"].isin(table.loc[list(chosen), "group"])
        for row, path in photos["path"][shown.sort_values(kind="stable").index].items():
            try:
                photo = read_photo(path)
            except UsageError:
                continue
            chosen[row] = photo
            break
    if not chosen:
        raise UsageError("no photo can be read to show a policy on")
    height, width = next(iter(chosen.values())).shape[:2]
    size = (HEIGHT, max(1, round(HEIGHT * width / height)))
    return table.loc[list(chosen)], np.stack([resize(photo, size, "bicubic") for photo in chosen.values()])


def augmented(policy: Policy, photos: np.ndarray, rows: np.ndarray, seed: int) -> list[np.ndarray]:
    """`photos`, uint8 (B, height, width, 3), as `policy` augments them in each of a trial's first TIMES
    epochs. `rows` (B,): their row numbers in the DataFrame of photos."""
    height, width = photos.shape[1:3]
    # This mean and standard deviation leave values from 0 to 1, which can be shown.
    plain = Preprocessing((height, width), (0, 0, 0), (1, 1, 1), "bicubic")
    one_by_one, prepare = photo_transform(policy, (height, width)), batch_transform(policy, plain)
    seen = []
    for epoch in range(1, TIMES + 1):
        batch = photos
        if one_by_one is not None:
            whose = zip(photos, rows, strict=True)
            batch = np.stack([one_by_one(photo, row, epoch, seed, 0) for photo, row in whose])
        draw = Draw(stream("batch", seed, epoch, 0), rows, epoch, (height, width))
        images = prepare(torch.from_numpy(batch.copy()), draw)
        seen.append((images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    return seen
