"""The rivals: the plain way, timm's loader, and the limit.

The plain way is the script that most people write: a torch DataLoader, PIL and torchvision's transforms, one
photo at a time. The limit is the same network on random tensors that are in memory already.
"""

from collections.abc import Iterable
from pathlib import Path

import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from dataset.face_masks.labels import FACE_MASK

HALF = [0.5, 0.5, 0.5]


class PlainPhotos(Dataset):
    """The photos of a DataFrame, read by PIL, each put through `transform`."""

    def __init__(self, table, transform=None):
        self.paths = list(table["path"])
        self.labels = list(table["label"]) if "label" in table else [0] * len(self.paths)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int):
        return self.transform(Image.open(self.paths[row]).convert("RGB")), self.labels[row]


def plain_transform(size: tuple[int, int], augment: str = "none") -> transforms.Compose:
    """torchvision's counterpart of the policies none, baseline and light."""
    steps = {
        "none": [],
        "baseline": [transforms.RandomHorizontalFlip(0.3)],
        "light": [
            transforms.RandomHorizontalFlip(),
            # As ours; the default is the nearest pixel.
            transforms.RandomAffine(
                0, (0.08, 0.08), (0.92, 1.08), interpolation=transforms.InterpolationMode.BILINEAR
            ),
            transforms.ColorJitter(0.2, 0.2),
        ],
    }[augment]
    return transforms.Compose(
        [transforms.Resize(size), *steps, transforms.ToTensor(), transforms.Normalize(HALF, HALF)]
    )


def plain_loader(table, size: tuple[int, int], batch: int, workers: int, augment: str) -> DataLoader:
    photos = PlainPhotos(table, plain_transform(size, augment))
    return DataLoader(
        photos, batch, shuffle=augment != "none", num_workers=workers, persistent_workers=workers > 0
    )


def timm_loader(table, size: tuple[int, int], batch: int, workers: int):
    """timm's loader, with its usual training transform at the strength of light."""
    return timm.data.create_loader(
        PlainPhotos(table), (3, *size), batch, is_training=True, scale=(0.85, 1.0), ratio=(0.7, 0.8),
        hflip=0.5, color_jitter=(0.2, 0.2, 0.0), use_prefetcher=False, num_workers=workers,
        persistent_workers=workers > 0, mean=HALF, std=HALF,
    )  # fmt: skip


def steps(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], precision: torch.dtype = torch.float32
) -> int:
    """Train in the plain loop, with AdamW and cross-entropy, on the device of the network; the number of
    photos."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    device = next(network.parameters()).device
    network.train()
    photos, total = 0, torch.zeros((), device=device)
    for images, labels in batches:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            logits = network(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        photos, total = photos + len(labels), total + loss.detach()
    float(total)  # waits for a GPU
    return photos


def plain_network(model: str, channels_last: bool = False) -> nn.Module:
    network = timm.create_model(model, num_classes=FACE_MASK.n_classes)
    return network.to(memory_format=torch.channels_last) if channels_last else network


def random_batches(
    size: tuple[int, int], batch: int, count: int, channels_last: bool, device: torch.device | str = "cpu"
):
    """`count` batches for the limit, all of them the same random tensor, on the device."""
    images = torch.randn(batch, 3, *size, device=device)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % FACE_MASK.n_classes
    return [(images, labels)] * count


def drawn_table(folder: Path, size: tuple[int, int], people: int = 60):
    """A DataFrame of photos of people drawn at this size."""
    from dataset.face_masks.drawing.synthetic import draw
    from dataset.read import read_train

    data = folder / f"{size[0]}x{size[1]}"
    if not data.exists():
        draw(data, people, 30, height=size[0], width=size[1])
    return read_train(data).table
