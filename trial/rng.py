"""Random numbers: an independent stream per purpose, and the draws for one batch's augmentation."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from common.image_size import Size

if TYPE_CHECKING:
    import torch


STREAMS = ("order", "batch", "photo", "copy", "network", "view", "label")


def stream(purpose: str, *numbers: int) -> np.random.Generator:
    """An independent generator per purpose (one of STREAMS), seed and epoch: drawing more for one never
    shifts another. `numbers`: seed, epoch, and what else the draws depend on."""
    return np.random.default_rng((STREAMS.index(purpose), *numbers))


@dataclass(frozen=True)
class Draw:
    """The random draws of a policy's steps for one batch of B photos, on the CPU.

    `rows` (B,) are the photos' row numbers in their data set and `epoch` counts from 1: for steps
    that change a photo differently each time it is seen.
    """

    random: np.random.Generator
    rows: np.ndarray
    epoch: int
    size: Size

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, part: slice) -> "Draw":
        """The draws for a part of the batch, from the same generator."""
        return replace(self, rows=self.rows[part])

    def uniform(self, low: float, high: float) -> np.ndarray:
        """(B,) values, uniform between low and high."""
        return self.random.uniform(low, high, len(self))

    def around(self, middle: float, by: float) -> np.ndarray:
        """(B,) values, uniform within middle +- by."""
        return self.uniform(middle - by, middle + by)

    def happens(self, p: float) -> np.ndarray:
        """(B,) booleans, each true with probability p."""
        return self.random.random(len(self)) < p

    def generator(self, device: "torch.device") -> "torch.Generator":
        """A generator of torch's, for as many draws as a batch has pixels."""
        import torch

        return torch.Generator(device).manual_seed(int(self.random.integers(2**63)))
