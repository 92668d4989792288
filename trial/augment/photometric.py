"""Photometric steps: changes of colours, on whole batches.

A builder returns `change(photos, draw) -> photos`, both float (B, 3, height, width) from 0 to 1, on the
photos' device. It may modify its input in place. A step happens to a photo with probability `p`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from trial.choice import Fraction, Registry
from trial.rng import Draw

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor", Draw], "Tensor"]
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in luma (ITU-R BT.601)


def brightness_contrast(*, brightness: Fraction = 0.2, contrast: Fraction = 0.2, p: Fraction = 1.0) -> Change:
    """Randomly change brightness and contrast: albumentations' RandomBrightnessContrast.

    Values are multiplied by a factor from 1 - contrast to 1 + contrast; then a number from -brightness to
    brightness, in units of the range from black to white, is added.
    """

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        happens = draw.happens(p)
        factor = np.where(happens, draw.around(1, contrast), 1)
        added = np.where(happens, draw.around(0, brightness), 0)
        return photos.mul_(per_photo(factor, photos)).add_(per_photo(added, photos)).clamp_(0, 1)

    return change


def color_jitter(*, brightness: Fraction = 0.2, contrast: Fraction = 0.2, saturation: Fraction = 0.2,
                 hue: Annotated[float, (0, 0.5)] = 0.0, p: Fraction = 1.0) -> Change:  # fmt: skip
    """Randomly change brightness, contrast, saturation and hue: torchvision's ColorJitter.

    The first three by a factor from 1 - the parameter to 1 + the parameter, hue by up to the fraction `hue`
    of the colour circle either way. The order of the four is drawn once for each piece of a batch.
    """

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        happens = draw.happens(p)

        def factor(by: float) -> "Tensor":
            return per_photo(np.where(happens, draw.around(1, by), 1), photos)

        changes: list[Callable[[Tensor], Tensor]] = []
        if brightness:
            changes.append(lambda x: x.mul_(factor(brightness)).clamp_(0, 1))
        if contrast:
            changes.append(lambda x: _blend(x, _grey(x).mean((1, 2, 3), keepdim=True), factor(contrast)))
        if saturation:
            changes.append(lambda x: _blend(x, _grey(x), factor(saturation)))
        if hue:
            changes.append(lambda x: _turn_hue(x, per_photo(np.where(happens, draw.around(0, hue), 0), x)))
        for index in draw.random.permutation(len(changes)):
            photos = changes[index](photos)
        return photos

    return change


def noise(*, std: Fraction = 0.05, p: Fraction = 0.5) -> Change:
    """Add Gaussian noise to each value of each channel.

    `std`: its standard deviation, in units of the range from black to white.
    """

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        import torch

        drawn = torch.empty_like(photos).normal_(generator=draw.generator(photos.device))
        return photos.addcmul_(drawn, per_photo(std * draw.happens(p), photos)).clamp_(0, 1)

    return change


def random_erasing(*, min_area: Fraction = 0.02, max_area: Fraction = 0.33,
                   max_ratio: Annotated[float, (1, 10)] = 3.3, value: Fraction = 0.5,
                   p: Fraction = 0.5) -> Change:  # fmt: skip
    """Fill a random rectangle of each photo with one grey value (Zhong et al. 2017).

    `min_area`, `max_area`: bounds of its area, as fractions of the photo's. `max_ratio`: the largest ratio of
    its longer side to its shorter one. `value`: from 0 (black) to 1 (white). Source: arXiv:1708.04896.
    """

    def change(photos: "Tensor", draw: Draw) -> "Tensor":
        height, width = draw.size
        area = draw.uniform(min_area, max_area) * height * width
        ratio = np.exp(draw.around(0, np.log(max_ratio)))
        tall = np.minimum(height, np.sqrt(area * ratio).round())
        wide = np.minimum(width, np.sqrt(area / ratio).round())
        # A side that was cut at the photo's must not make the rectangle smaller than asked for.
        least = np.floor(min_area * height * width)
        tall = np.where(wide == width, np.maximum(tall, np.floor(least / width)), tall)
        wide = np.where(tall == height, np.maximum(wide, np.floor(least / height)), wide)
        tall = tall * draw.happens(p)
        top = np.floor(draw.uniform(0, 1) * (height - tall + 1))
        left = np.floor(draw.uniform(0, 1) * (width - wide + 1))
        return photos.masked_fill_(box(photos, top, left, tall, wide), value)

    return change


PHOTOMETRIC: Registry = {
    "brightness_contrast": brightness_contrast, "color_jitter": color_jitter, "noise": noise,
    "random_erasing": random_erasing,
}  # fmt: skip


def box(photos: "Tensor", top: np.ndarray, left: np.ndarray, tall: np.ndarray, wide: np.ndarray) -> "Tensor":
    """bool (B, 1, height, width): True inside the rectangles, whose arrays (B,) are in pixels."""
    import torch

    y = torch.arange(photos.shape[2], device=photos.device).view(1, 1, -1, 1)
    x = torch.arange(photos.shape[3], device=photos.device).view(1, 1, 1, -1)
    upper, lower, first, last = (per_photo(edge, photos) for edge in (top, top + tall, left, left + wide))
    return (y >= upper) & (y < lower) & (x >= first) & (x < last)


def per_photo(values: np.ndarray, photos: "Tensor") -> "Tensor":
    """`values` (B,) as a float tensor (B, 1, 1, 1) on the photos' device; (B, 1) for features (B, D)."""
    import torch

    one_each = torch.as_tensor(values, dtype=torch.float32).to(photos.device, non_blocking=True)
    return one_each.view(-1, *[1] * (photos.dim() - 1))


def _grey(photos: "Tensor") -> "Tensor":
    red, green, blue = photos.split(1, dim=1)
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]


def _blend(photos: "Tensor", other: "Tensor", factor: "Tensor") -> "Tensor":
    return other.lerp(photos, factor).clamp_(0, 1)


def _turn_hue(photos: "Tensor", turn: "Tensor") -> "Tensor":
    """Add `turn`, a fraction of the colour circle, to the hue; saturation and value (HSV) are kept."""
    import torch

    largest, smallest = photos.amax(1, keepdim=True), photos.amin(1, keepdim=True)
    spread = largest - smallest
    red, green, blue = ((largest - channel) / spread.clamp(min=1e-8) for channel in photos.split(1, dim=1))
    is_red, is_green, _ = (channel == largest for channel in photos.split(1, dim=1))
    hue = torch.where(is_red, blue - green, torch.where(is_green, 2 + red - blue, 4 + green - red)) / 6 + turn
    # How far each channel lies below the largest one, by its position on the circle of hues.
    places = torch.cat([(place + hue * 6) % 6 for place in (5, 3, 1)], dim=1)
    return largest - spread * torch.minimum(places, 4 - places).clamp(0, 1)
