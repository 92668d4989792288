"""Photo tables -> batches of pixels and labels, on the device."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from dataset.cache import Uncached, cached
from dataset.machine import cores
from trial.augment import on_photos
from trial.draw import stream
from trial.policies import Policy
from trial.transforms import Preprocessing

if TYPE_CHECKING:
    import pandas as pd

    from trial.config import TrialConfig

Item = tuple[int, int]  # epoch, row
EVALUATED = 4  # times the batch size where no gradients are kept; halved where memory runs out


class Batch(NamedTuple):
    """`photos` uint8 (B, height, width, 3), `labels` (B,), `rows` (B,) in their table, `epoch` from 1."""

    photos: Tensor
    labels: Tensor
    rows: np.ndarray
    epoch: int

    def to(self, device: torch.device) -> "Batch":
        photos, labels = (tensor.to(device, non_blocking=True) for tensor in self[:2])
        return self._replace(photos=photos, labels=labels)


class Photos(Dataset):
    """The photos of a table at their size, a whole batch at a time, with what a policy does on photos.

    They come from `pixels`, those of a whole table that this one is a part of, or are decoded each time, in
    threads. The same for a seed, epoch and row, whoever asks.
    """

    def __init__(
        self,
        table: "pd.DataFrame",
        preprocessing: Preprocessing,
        pixels: np.ndarray | Uncached | None = None,
        policy: Policy | None = None,
        seed: int = 0,
    ):
        # A table of photos to be answered has no labels.
        labels = table["label"].to_numpy(np.int64) if "label" in table else np.zeros(len(table), np.int64)
        self.labels = torch.from_numpy(labels.copy())
        # Which of the pixels are whose: those of a whole table are known by its row labels.
        self.rows = np.arange(len(table)) if pixels is None else table.index.to_numpy()
        self.pixels = uncached(table, preprocessing) if pixels is None else pixels
        self.seed = seed
        self.augment = on_photos(policy, preprocessing.image_size) if policy else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, items: list[Item]) -> Batch:
        epoch, rows = items[0][0], np.array([row for _, row in items])
        photos = self._read(rows)
        if self.augment is not None:
            photos = np.stack(
                [self.augment(photo, row, epoch, self.seed) for photo, row in zip(photos, rows, strict=True)]
            )
        return Batch(torch.from_numpy(photos), self.labels[rows], rows, epoch)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        pixels, rows = self.pixels, self.rows[rows]
        if isinstance(pixels, Uncached):
            in_turn = map if get_worker_info() else self._threads.map
            return np.stack(list(in_turn(pixels.read, rows)))
        return np.asarray(pixels[rows])

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(cores(), thread_name_prefix="decode")


class Shuffled(Sampler):
    """Every row once an epoch in batches, in an order fixed by seed and epoch (or as they lie).

    A last batch of one photo joins the one before: batch normalisation can't take it.
    """

    def __init__(self, rows: int, batch_size: int, seed: int | None):
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.starts = list(range(0, rows, batch_size))
        if len(self.starts) > 1 and rows - self.starts[-1] == 1:
            self.starts.pop()
        self.epoch = 0  # counted as an epoch's first batch is asked for: torch may make iterators in vain

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[Item]]:
        self.epoch += 1
        order = np.arange(self.rows)
        if self.seed is not None:
            stream("order", self.seed, self.epoch).shuffle(order)
        for start, end in zip(self.starts, [*self.starts[1:], self.rows], strict=True):
            yield [(self.epoch, int(row)) for row in order[start:end]]


def loader(photos: Photos, batch_size: int, workers: int = 0, shuffle: bool = False) -> DataLoader:
    """Batches of `photos`, the same whatever the number of workers. Only what a policy does on photos is
    worth workers: the rest comes from the cache, or is decoded in threads."""
    workers = workers if photos.augment is not None else 0
    return DataLoader(
        photos,
        batch_sampler=Shuffled(len(photos), batch_size, photos.seed if shuffle else None),
        collate_fn=_as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # not torch's own, from which networks draw what they drop
    )


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches on `device`; beside a GPU the next two are read and queued to be copied while this one
    computes. On the CPU that would only take from it."""
    if device.type == "cpu":
        yield from batches
        return
    coming = iter(batches)

    def prepare() -> Batch | None:
        batch = next(coming, None)
        return batch.to(device) if batch is not None else None

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        prepared = deque(thread.submit(prepare) for _ in range(2))
        while (batch := prepared.popleft().result()) is not None:
            prepared.append(thread.submit(prepare))
            yield batch


def shared_pixels(
    table: "pd.DataFrame", preprocessing: Preprocessing, config: "TrialConfig"
) -> np.ndarray | Uncached:
    """The photos of a whole photo table, cached where there is room; parts of it index them by their own row
    labels."""
    plain = uncached(table, preprocessing)
    limit = int(config.cache_limit * 2**30)
    array = cached(plain.paths, plain.size, plain.interpolation, limit=limit, crop=plain.crop)
    return plain if array is None else array


def uncached(table: "pd.DataFrame", preprocessing: Preprocessing) -> Uncached:
    """The photos of a table as they are prepared for the network, decoded whenever they are asked for."""
    paths = list(table["path"])
    crop = preprocessing.crop_of(paths)
    return Uncached(paths, preprocessing.image_size, preprocessing.interpolation, crop)


def _as_it_is(batch: Any) -> Any:
    return batch
