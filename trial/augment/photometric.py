"""Steps that change colours, on whole batches.

A builder gives `change(photos, draw) -> photos`, float (B, 3, height, width) from 0 to 1, where they are.
It may write into the photos that it gets.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from trial.choice import Fraction, Registry
from trial.rng import Draw

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor", Draw], "Tensor"]
GREY = (0.299, 0.587, 0.114)  # how much each of red, green and blue adds to brightness (ITU-R BT.601)


def brightness_contrast(*, brightness: Fraction = 0.2, contrast: Fraction = 0.2, p: Fraction = 1.0) -> Change:
    """Contrast (a factor) and brightness (added) changed by up to these shares: albumentations'
    RandomBrightnessContrast."""

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        happens = draw.happens(p)
        factor = np.where(happens, draw.around(1, contrast), 1)
        added = np.where(happens, draw.around(0, brightness), 0)
        return photos.mul_(each(factor, photos)).add_(each(added, photos)).clamp_(0, 1)

    return change


def color_jitter(*, brightness: Fraction = 0.2, contrast: Fraction = 0.2, saturation: Fraction = 0.2,
           hue: Annotated[float, (0, 0.5)] = 0.0, p: Fraction = 1.0) -> Change:  # fmt: skip
    """torchvision's ColorJitter: brightness, contrast, saturation by a factor 1 +- the number, hue by up to
    that part of the circle; in an order drawn for each piece of a batch."""

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        happens = draw.happens(p)

        def factor(by: float) -> "Tensor":
            return each(np.where(happens, draw.around(1, by), 1), photos)

        changes: list[Callable[[Tensor], Tensor]] = []
        if brightness:
            changes.append(lambda x: x.mul_(factor(brightness)).clamp_(0, 1))
        if contrast:
            changes.append(lambda x: _blend(x, _grey(x).mean((1, 2, 3), keepdim=True), factor(contrast)))
        if saturation:
            changes.append(lambda x: _blend(x, _grey(x), factor(saturation)))
        if hue:
            changes.append(lambda x: _turn_hue(x, each(np.where(happens, draw.around(0, hue), 0), x)))
        for index in draw.random.permutation(len(changes)):
            photos = changes[index](photos)
        return photos

    return change


def noise(*, std: Fraction = 0.05, p: Fraction = 0.5) -> Change:
    """Gaussian noise of this standard deviation, of 1 for the whole range, added to every value by itself."""

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        import torch

        drawn = torch.empty_like(photos).normal_(generator=draw.generator(photos.device))
        return photos.addcmul_(drawn, each(std * draw.happens(p), photos)).clamp_(0, 1)

    return change


def random_erasing(*, min_area: Fraction = 0.02, max_area: Fraction = 0.33, max_ratio: Annotated[float, (1, 10)] = 3.3,
            value: Fraction = 0.5, p: Fraction = 0.5) -> Change:  # fmt: skip
    """A rectangle of between `min_area` and `max_area` of the photo's area, its sides in a ratio of 1 to at most
    `max_ratio`, filled with `value`, 0 black to 1 white (Zhong et al. 2017, arXiv:1708.04896)."""

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        height, width = draw.size
        area = draw.uniform(min_area, max_area) * height * width
        ratio = np.exp(draw.around(0, np.log(max_ratio)))
        tall = np.minimum(height, np.sqrt(area * ratio).round()) * draw.happens(p)
        wide = np.minimum(width, np.sqrt(area / ratio).round())
        top = np.floor(draw.uniform(0, 1) * (height - tall + 1))
        left = np.floor(draw.uniform(0, 1) * (width - wide + 1))
        return photos.masked_fill_(box(photos, top, left, tall, wide), value)

    return change


PIXEL_STEPS: Registry = {
    "brightness_contrast": brightness_contrast, "color_jitter": color_jitter, "noise": noise,
    "random_erasing": random_erasing,
}  # fmt: skip


def box(photos: "Tensor", top: np.ndarray, left: np.ndarray, tall: np.ndarray, wide: np.ndarray) -> "Tensor":
    """bool (B, 1, height, width): inside the rectangles, of which each array (B,) gives pixels."""
    import torch

    y = torch.arange(photos.shape[2], device=photos.device).view(1, 1, -1, 1)
    x = torch.arange(photos.shape[3], device=photos.device).view(1, 1, 1, -1)
    upper, lower, first, last = (each(edge, photos) for edge in (top, top + tall, left, left + wide))
    return (y >= upper) & (y < lower) & (x >= first) & (x < last)


def each(numbers: np.ndarray, photos: "Tensor") -> "Tensor":
    """(B,) numbers as (B, 1, 1, 1) beside the photos."""
    import torch

    return (
        torch.as_tensor(numbers, dtype=torch.float32).to(photos.device, non_blocking=True).view(-1, 1, 1, 1)
    )


def _grey(photos: "Tensor") -> "Tensor":
    red, green, blue = photos.split(1, dim=1)
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]


def _blend(photos: "Tensor", other: "Tensor", factor: "Tensor") -> "Tensor":
    return other.lerp(photos, factor).clamp_(0, 1)


def _turn_hue(photos: "Tensor", turn: "Tensor") -> "Tensor":
    """Hue moved by `turn` of the circle; value and saturation (HSV) kept."""
    import torch

    most, least = photos.amax(1, keepdim=True), photos.amin(1, keepdim=True)
    spread = most - least
    red, green, blue = ((most - channel) / spread.clamp(min=1e-8) for channel in photos.split(1, dim=1))
    is_red, is_green, _ = (channel == most for channel in photos.split(1, dim=1))
    hue = torch.where(is_red, blue - green, torch.where(is_green, 2 + red - blue, 4 + green - red)) / 6 + turn
    # How far each channel lies below the greatest one, by its place on the circle of hues.
    places = torch.cat([(place + hue * 6) % 6 for place in (5, 3, 1)], dim=1)
    return most - spread * torch.minimum(places, 4 - places).clamp(0, 1)
