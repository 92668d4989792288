"""Features of a frozen backbone: computed once for all photos and kept in the cache, and batches of them."""

import hashlib
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from common.errors import UsageError
from common.image_size import Size
from common.progress import track
from common.text import bytes_text
from dataset.cache import arrays
from dataset.cache.computed import computed
from dataset.cache.store import ArrayInfo, NoRoom, identity
from trial.data import batches
from trial.data.batch_sampler import Item
from trial.data.batches import Batch
from trial.data.views import VIEWS, Views
from trial.fit import infer
from trial.models.features import Backbone
from trial.models.heads import input_shape, last_layer
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute
from trial.process.ranks import ALONE
from trial.rng import stream

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64
COMPUTING = 1  # version of the features: raise it if they change, so that older ones are not used


class Features(Dataset):
    """As batches.Photos, but each photo is its features (D,), in each epoch of one view, drawn at random.

    `features` (photos, views, D) are those of a whole DataFrame that `table` is a part of; `views`: how many
    of them are drawn from, the first being the photo itself. Deterministic given seed, epoch and rows.
    """

    augment = None  # nothing is left to do in the loader's processes
    on_device = False

    def __init__(self, table: "pd.DataFrame", features: np.ndarray, views: int = 1, seed: int = 0):
        self.labels = torch.from_numpy(table["label"].to_numpy(np.int64).copy())
        self.rows, self.features = table.index.to_numpy(), features
        self.views, self.seed = views, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, items: list[Item]) -> Batch:
        epoch, rows = items[0][0], np.array([item[1] for item in items])
        view = np.zeros(len(rows), int)
        if self.views > 1:
            view = stream("view", self.seed, epoch, int(rows[0])).integers(self.views, size=len(rows))
        return Batch(torch.from_numpy(self.features[self.rows[rows], view]), self.labels[rows], rows, epoch)


@dataclass(frozen=True)
class AsTheyAre(Preprocessing):
    """The preprocessing of features: they are ready for the network."""

    image_size: Size = (1, 1)
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[float, float, float] = (1, 1, 1)
    interpolation: str = "nearest"

    def normalise(self, photos: Tensor, out: Tensor | None = None) -> Tensor:
        """The features."""
        return photos


class _OfViews(nn.Module):
    """The features (B, views, D) of all views of photos."""

    def __init__(self, network: nn.Module, views: Views):
        super().__init__()
        self.backbone, self.views = Backbone(network), views

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self.backbone(view) for view in self.views(images)], 1)


def features_of(
    network: nn.Module,
    table: "pd.DataFrame",
    preprocessing: Preprocessing,
    compute: Compute,
    views: str,
    limit: float,
    folder: Path | None = None,
) -> np.ndarray:
    """The features of all photos of `table` by the backbone of `network`, which is on the device: float32
    (photos, views, D), memory-mapped. `views`: a name in VIEWS; the first view is the photo itself.

    Computed once for these photos, this backbone's weights, its preprocessing, views and precision, and kept
    in the cache of at most `limit` GiB (0: not kept). UsageError if they can't be kept, with their size.
    """
    compute = replace(compute, ranks=ALONE)  # one of several ranks computes them, and the others wait
    plain = batches.uncached(table, preprocessing)
    number = _number(views)
    need = len(table) * number * input_shape(last_layer(network)).numel() * 4

    def run() -> np.ndarray:
        loader = batches.loader(batches.Photos(table.reset_index(drop=True), preprocessing), BATCH)
        tracked = track(loader, "computing features", "batches")
        return infer(_OfViews(network, VIEWS[views]), preprocessing, compute, tracked)[0].numpy()

    if limit == 0:
        return run()
    processing = [
        "features", COMPUTING, _fingerprint(network), preprocessing.to_json(), views, str(compute.precision),
        compute.device.type,
    ]  # fmt: skip
    photos = identity(plain.paths, processing, [plain.crop.mark] if plain.crop else [])
    wanted = ArrayInfo(*photos, len(table), None, crop=str(preprocessing.crop), kind="features")
    what = f"computing the features of {len(table):,} photos" + (f" in {number} views" if number > 1 else "")
    try:
        return computed(folder or arrays.CACHE, wanted, run, what, need, math.ceil(limit * 2**30))
    except NoRoom as error:
        raise UsageError(_no_room(len(table), number, need, str(error))) from None


def room_errors(photos: int, width: int, views: str, limit: float) -> list[str]:
    """[The message that the cache of at most `limit` GiB (0: none is kept) can't hold the features of these
    `photos`, `width` of each view], [] if it can. `views`: a name in VIEWS."""
    number = _number(views)
    need, most = photos * number * width * 4, math.ceil(limit * 2**30)
    if limit == 0 or need <= most:
        return []
    return [_no_room(photos, number, need, f"over the limit of {bytes_text(most)}")]


def _number(views: str) -> int:
    return len(list(VIEWS[views](torch.zeros(1, 3, 8, 8))))


def _no_room(photos: int, views: int, need: int, why: str) -> str:
    return (
        f"features of {photos:,} photos in {views} views need {bytes_text(need)}: {why}; fewer views or a "
        "larger cache_limit may help"
    )


def _fingerprint(network: nn.Module) -> str:
    """Of the backbone: its modules with their settings and timm's names of networks (two networks may have
    the same tensors, but other activations) and its tensors."""
    last = last_layer(network)
    inside = set(last.modules())
    own = {id(tensor) for tensor in last.state_dict(keep_vars=True).values()}
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        if module not in inside:
            settings = re.sub(" at 0x[0-9a-f]+", "", module.extra_repr())  # of a function: it varies
            known = getattr(module, "pretrained_cfg", {}).get("architecture", "")
            digest.update(f"{name} {type(module).__qualname__} {known} {settings}".encode())
    # Buffers, too, that are not saved: a joint network's scales of its members' photos.
    tensors = dict(network.state_dict(keep_vars=True)) | dict(network.named_buffers())
    for name, tensor in tensors.items():
        if id(tensor) not in own:
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
