"""A DataFrame of photos -> batches of pixels and labels, on the device."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from common.errors import UsageError
from common.machine import cores
from common.threads import in_threads
from dataset.cache.arrays import Uncached, cached
from trial.augment.pipeline import copy_transform, photo_transform
from trial.augment.policies import Policy, parse_policy
from trial.choice import Choice
from trial.data.batch_sampler import EpochBatchSampler, Item
from trial.data.sampling import COPY, COPY_STEPS, Weigh
from trial.preprocessing import Preprocessing
from trial.rng import Draw, stream

if TYPE_CHECKING:
    import pandas as pd


Pixels = np.ndarray | Uncached | Tensor  # of all photos: in memory, decoded at each access, on a device
EVALUATION_FACTOR = 4  # times the batch size on a GPU if no gradients are kept; halved if memory runs out
MOVED_AT_ONCE = 256  # photos that are copied to the device in one go


class Batch(NamedTuple):
    """`photos` uint8 (B, height, width, 3), `labels` (B,), `rows` (B,) in their DataFrame, `epoch` from 1."""

    photos: Tensor
    labels: Tensor
    rows: np.ndarray
    epoch: int

    def to(self, device: torch.device) -> "Batch":
        """A copy with photos and labels on `device`."""
        photos, labels = (tensor.to(device, non_blocking=True) for tensor in self[:2])
        return self._replace(photos=photos, labels=labels)


class Shown(Protocol):
    """What batches are made of: Photos, or their features (trial/features.py)."""

    labels: Tensor
    seed: int
    augment: Any  # the policy's steps on photos, for which the loader has processes; None without any
    on_device: bool  # batches are made on the device already

    def __len__(self) -> int: ...

    def __getitems__(self, items: list[Item]) -> "Batch | UsageError": ...


class Photos(Dataset):
    """A map-style dataset of photos at the network's image size, read a whole batch at a time.

    Photos are read from `pixels` (those of a whole DataFrame that `table` is a part of), or decoded each
    time, in threads. Then generated copies are made (trial/data/sampling.py), and the policy's steps on
    photos are applied; neither if `pixels` are on a device (`moved`). Deterministic given seed, epoch, rows,
    and how often the epoch has had each row before.
    """

    def __init__(
        self,
        table: "pd.DataFrame",
        preprocessing: Preprocessing,
        pixels: Pixels | None = None,
        policy: Policy | None = None,
        seed: int = 0,
    ):
        # Photos to predict have no labels.
        labels = table["label"].to_numpy(np.int64) if "label" in table else np.zeros(len(table), np.int64)
        self.labels = torch.from_numpy(labels.copy())
        # `pixels` of a whole DataFrame are indexed by its row labels.
        self.rows = np.arange(len(table)) if pixels is None else table.index.to_numpy()
        self.pixels = uncached(table, preprocessing) if pixels is None else pixels
        self.on_device = isinstance(self.pixels, Tensor)
        self.size, self.seed = preprocessing.image_size, seed
        self.augment = photo_transform(policy, preprocessing.image_size) if policy else None
        self.copies = table[COPY].to_numpy() if COPY in table else np.zeros(len(table), int)
        self.copy = [copy_transform(_choices(steps)) for steps in COPY_STEPS] if self.copies.any() else []
        assert not (self.on_device and (self.augment or self.copy))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, items: list[Item]) -> "Batch | UsageError":
        try:
            return self._batch(items)
        except UsageError as error:  # raised in a worker, torch would give its traceback as the error
            return error

    def _batch(self, items: list[Item]) -> Batch:
        epoch, rows, before = items[0][0], *np.array([item[1:] for item in items]).T
        if isinstance(self.pixels, Tensor):
            index = torch.from_numpy(self.rows[rows]).to(self.pixels.device, non_blocking=True)
            return Batch(self.pixels.index_select(0, index), self.labels[rows], rows, epoch)
        photos = self._read(rows)
        for number, copy in enumerate(self.copy, start=1):
            if (copied := np.flatnonzero(self.copies[rows] == number)).size:
                first = copied[0]
                random = stream("copy", self.seed, epoch, int(rows[first]), int(before[first]))
                draw = Draw(random, rows[copied], epoch, self.size)
                photos[copied] = copy(photos[copied], draw)
        if self.augment is not None:
            whose = zip(photos, rows, before, strict=True)
            photos = np.stack([self.augment(photo, row, epoch, self.seed, n) for photo, row, n in whose])
        return Batch(torch.from_numpy(photos), self.labels[rows], rows, epoch)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        pixels, rows = self.pixels, self.rows[rows]
        if isinstance(pixels, Uncached):
            in_turn = map if get_worker_info() else self._threads.map
            return np.stack(list(in_turn(pixels.read, rows)))
        assert isinstance(pixels, np.ndarray)
        return np.asarray(pixels[rows])

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(cores(), thread_name_prefix="decode")


def training(
    photos: Shown, batch_size: int, workers: int, weigh: Weigh, n_classes: int, done: int = 0
) -> tuple[DataLoader, np.ndarray]:
    """(shuffled batches of `photos` from the epoch after `done` on, class counts (n_classes,)): expected
    counts per epoch under the sampler `weigh`, so that a weighted loss does not correct the imbalance
    twice."""
    labels = photos.labels.numpy()
    probabilities = weigh(labels)
    batches = loader(photos, batch_size, workers, shuffle=True, probabilities=probabilities, done=done)
    expected = None if probabilities is None else probabilities * len(labels)  # how often each photo
    return batches, np.bincount(labels, expected, minlength=n_classes)


def loader(
    photos: Shown,
    batch_size: int,
    workers: int = 0,
    shuffle: bool = False,
    probabilities: np.ndarray | None = None,
    done: int = 0,
) -> DataLoader:
    """Batches of `photos`, the same for any number of workers. Workers are used only if a policy has steps on
    photos: the rest comes from the cache, or is decoded in threads."""
    workers = workers if photos.augment is not None else 0
    data: Any = photos
    return DataLoader(
        data,
        batch_sampler=EpochBatchSampler(
            len(photos), batch_size, photos.seed if shuffle else None, probabilities, done
        ),
        collate_fn=_identity,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available() and not photos.on_device,
        generator=torch.Generator(),  # not torch's own, which dropout draws from
    )


def on_device(batches: Iterable[Batch | UsageError], device: torch.device) -> Iterator[Batch]:
    """The batches on `device`. With a GPU the next two are read and copied while it computes this one; on the
    CPU that would only compete with it. A UsageError among them is raised."""
    coming = _received(batches)
    if device.type == "cpu":
        yield from coming
        return

    def prepare() -> Batch | None:
        batch = next(coming, None)
        return batch.to(device) if batch is not None else None

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        prepared = deque(thread.submit(prepare) for _ in range(2))
        while (batch := prepared.popleft().result()) is not None:
            prepared.append(thread.submit(prepare))
            yield batch


def _received(batches: Iterable[Batch | UsageError]) -> Iterator[Batch]:
    """The batches; a UsageError among them is raised. If a process of the loader is killed while it hands a
    batch over, torch says so only where the process is gone already; else the connection has an error."""
    try:
        for batch in batches:
            if isinstance(batch, UsageError):
                # Not the batch itself: an error that its own traceback holds as a local variable is freed by
                # the garbage collector; so would be the loader, which then waits 5 s for each process.
                raise UsageError(batch.errors)
            yield batch
    except (ConnectionError, EOFError) as error:
        raise RuntimeError(f"DataLoader worker ended while it handed over a batch: {error}") from error


def shared_pixels(
    table: "pd.DataFrame", preprocessing: Preprocessing, cache_limit: float
) -> np.ndarray | Uncached:
    """The photos of a whole DataFrame of photos, cached if they fit into `cache_limit` GiB; parts of the
    DataFrame index them by their row labels."""
    plain = uncached(table, preprocessing)
    limit = int(cache_limit * 2**30)
    array = cached(plain.paths, plain.size, plain.interpolation, limit=limit, crop=plain.crop)
    return plain if array is None else array


def moved(pixels: np.ndarray | Uncached, room: Tensor) -> Tensor:
    """`room`, uint8 (photos, height, width, 3) on the device, filled with the `pixels` of as many photos:
    batches are gathered there from now on, and no photo is copied to the device again."""
    each = in_threads(pixels.read, range(len(room))) if isinstance(pixels, Uncached) else iter(pixels)
    for part in room.split(MOVED_AT_ONCE):
        part.copy_(torch.from_numpy(np.stack(list(islice(each, len(part))))))
    return room


def uncached(table: "pd.DataFrame", preprocessing: Preprocessing) -> Uncached:
    """The photos of a DataFrame as they are prepared for the network, decoded at each access."""
    paths = table["path"].array  # not a list: a str for each photo takes as much again, in every worker
    crop = preprocessing.crop_of(paths)
    return Uncached(paths, preprocessing.image_size, preprocessing.interpolation, crop)


def _choices(steps: list[dict]) -> list[Choice]:
    policy = parse_policy(steps, [])
    assert policy is not None
    return [step.choice for step in policy.steps]


def _identity(batch: Any) -> Any:
    return batch
