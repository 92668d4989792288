"""The random numbers of one batch's augmentation, drawn on the CPU."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


STREAMS = ("order", "batch", "photo", "copy", "network")


def stream(what: str, *numbers: int) -> np.random.Generator:
    """Random numbers of their own for what they are used for (STREAMS), and for seed, epoch and the like."""
    return np.random.default_rng((STREAMS.index(what), *numbers))


@dataclass(frozen=True)
class Draw:
    """What the steps of a policy draw from for one batch of B photos.

    `rows` (B,) number the photos within their set and `epoch` counts from 1, for steps that treat a photo
    otherwise each time it is seen.
    """

    random: np.random.Generator
    rows: np.ndarray
    epoch: int
    size: tuple[int, int]  # height, width

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, piece: slice) -> "Draw":
        """The same for a piece of the batch."""
        return replace(self, rows=self.rows[piece])

    def uniform(self, low: float, high: float) -> np.ndarray:
        """(B,) numbers between low and high."""
        return self.random.uniform(low, high, len(self))

    def around(self, middle: float, by: float) -> np.ndarray:
        """(B,) numbers within middle +- by."""
        return self.uniform(middle - by, middle + by)

    def happens(self, p: float) -> np.ndarray:
        """(B,) bool, each true with probability p."""
        return self.random.random(len(self)) < p

    def generator(self, device: "torch.device") -> "torch.Generator":
        """torch's own, for as many numbers as a batch has pixels."""
        import torch

        return torch.Generator(device).manual_seed(int(self.random.integers(2**63)))
