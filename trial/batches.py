"""Photo tables -> batches: uint8 (B, height, width, 3) and labels (B,)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from dataset.cache import cached, read_resized
from trial.transforms import Policy, Preprocessing

if TYPE_CHECKING:
    import pandas as pd

Item = tuple[int, int]  # epoch, row


class Photos(Dataset):
    """The photos of a table at their size, augmented by policy, the same for a seed, epoch and row."""

    def __init__(
        self,
        table: "pd.DataFrame",
        preprocessing: Preprocessing,
        pixels: np.ndarray | None = None,
        policy: Policy | None = None,
        seed: int = 0,
    ):
        self.paths = list(table["path"])
        # A table of photos to be answered has no labels.
        self.labels = (
            table["label"].to_numpy(np.int64) if "label" in table else np.zeros(len(table), np.int64)
        )
        self.rows = table.index.to_numpy()
        self.pixels, self.preprocessing, self.seed = pixels, preprocessing, seed
        self.augment = policy.build(preprocessing.image_size) if policy else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: Item) -> tuple[torch.Tensor, int]:
        epoch, row = item
        if self.pixels is None:
            size, interpolation = self.preprocessing.image_size, self.preprocessing.interpolation
            photo = read_resized(self.paths[row], size, interpolation)
        else:
            photo = np.array(self.pixels[self.rows[row]])
        if self.augment is not None:
            photo = self.augment(photo, hash((self.seed, epoch, row)) % 2**32)
        return torch.from_numpy(np.ascontiguousarray(photo)), int(self.labels[row])


class Shuffled(Sampler):
    """Every row once an epoch in batches, in an order fixed by seed and epoch (or as they lie).

    A last batch of one photo joins the one before: batch normalisation can't take it.
    """

    def __init__(self, rows: int, batch_size: int, seed: int | None):
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.starts = list(range(0, rows, batch_size))
        if len(self.starts) > 1 and rows - self.starts[-1] == 1:
            self.starts.pop()
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[Item]]:
        self.epoch += 1
        order = np.arange(self.rows)
        if self.seed is not None:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        for start, end in zip(self.starts, [*self.starts[1:], self.rows], strict=True):
            yield [(self.epoch, int(row)) for row in order[start:end]]


def loader(photos: Photos, batch_size: int, workers: int = 0, shuffle: bool = False) -> DataLoader:
    """Batches of `photos`, the same whatever the number of workers."""
    return DataLoader(
        photos,
        batch_sampler=Shuffled(len(photos), batch_size, photos.seed if shuffle else None),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def shared_pixels(
    table: "pd.DataFrame", preprocessing: Preprocessing, data_fingerprint: str
) -> np.ndarray | None:
    """The cached photos of a whole photo table; parts of it index them by their own row labels."""
    return cached(
        list(table["path"]), preprocessing.image_size, preprocessing.interpolation, data_fingerprint
    )
