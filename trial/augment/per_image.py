"""Per-image steps: torchvision's automatic augmentations, which draw a different change for each photo.

A builder returns `change(photo, draw) -> photo`, both uint8 (height, width, 3).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from trial.choice import Fraction, Registry
from trial.rng import Draw

if TYPE_CHECKING:
    import numpy as np

Change = Callable[["np.ndarray", Draw], "np.ndarray"]


def rand_augment(*, ops: Annotated[int, (1, 10)] = 2, magnitude: Annotated[int, (0, 30)] = 9,
                 p: Fraction = 1.0) -> Change:  # fmt: skip
    """Apply several of 14 changes at a fixed strength: torchvision's RandAugment.

    `ops`: how many of them. `magnitude`: their strength, from 0 to 30. Source: Cubuk et al. 2019,
    arXiv:1909.13719.
    """
    from torchvision.transforms import v2

    return _by_torchvision(v2.RandAugment(ops, magnitude), p)


def trivial_augment(*, p: Fraction = 1.0) -> Change:
    """Apply one of 14 changes at a random strength: torchvision's TrivialAugmentWide.

    Source: Mueller and Hutter 2021, arXiv:2103.10158.
    """
    from torchvision.transforms import v2

    return _by_torchvision(v2.TrivialAugmentWide(), p)


PER_IMAGE: Registry = {"rand_augment": rand_augment, "trivial_augment": trivial_augment}


def _by_torchvision(transform: Any, p: float) -> Change:
    import numpy as np
    import torch
    from PIL import Image

    def change(photo: "np.ndarray", draw: Draw) -> "np.ndarray":
        if not draw.happens(p)[0]:
            return photo
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global generator
            torch.default_generator.manual_seed(int(draw.random.integers(2**63)))  # the CPU's only
            # In the loader's processes, with a GPU, too. A PIL image takes a third of a tensor's time there.
            return np.array(transform(Image.fromarray(photo)))

    return change
