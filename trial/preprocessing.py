"""From a photo to the input of a network, the same in training, validation and prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.image_size import Size
from dataset.crops import CROPS
from trial.choice import Choice, choose

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dataset.boxes import Crop


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is prepared, in training, validation and prediction alike; kept in the run folder.

    A photo is cropped, resized to `image_size` (height, width), then normalised: (value / 255 - mean) / std
    per channel.
    """

    image_size: Size
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: Choice = Choice("none")

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; `from_json` reads them back."""
        return {**asdict(self), "crop": self.crop.to_json()}

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Preprocessing":
        """Read what `to_json` gave. UsageError if its crop is unknown, TypeError or ValueError if another
        value is wrong."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
        errors: list[str] = []
        crop = choose("crop", values.pop("crop", "none"), CROPS, errors)
        if crop is None or errors:
            raise UsageError(errors)
        made = cls(**values, crop=crop)
        sizes = [len(made.image_size), len(made.mean), len(made.std)]
        numbers = [*made.image_size, *made.mean, *made.std]
        if sizes != [2, 3, 3] or not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("size, mean or standard deviation are not numbers")
        return made

    def crop_of(self, paths: Sequence[str]) -> "Crop | None":
        """The box of each photo that is kept; None: the whole photo."""
        return self.crop.build(CROPS, paths, self.image_size)

    def normalise(self, photos: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        """Photos -> network input, float32 (B, 3, height, width) in channels_last format, on the same device.

        `photos` are uint8 (B, height, width, 3) from 0 to 255, or float (B, 3, height, width) from 0 to 1.
        The result is written into `out` if it is given.
        """
        import torch

        is_uint8 = photos.dtype == torch.uint8
        pixels = photos if is_uint8 else photos.permute(0, 2, 3, 1)
        batch, height, width, channels = pixels.shape
        if out is None:
            out = torch.empty(
                (batch, channels, height, width), device=photos.device, memory_format=torch.channels_last
            )
        rows = pixels.float().reshape(batch, height, -1)
        scale, shift = _row(self, width, 255 if is_uint8 else 1, photos.device)
        torch.addcmul(shift, rows, scale, out=out.permute(0, 2, 3, 1).view_as(rows))
        return out


@cache
def _row(
    preprocessing: Preprocessing, width: int, max_value: int, device: "torch.device"
) -> "tuple[Tensor, Tensor]":
    """(scale, shift) of a whole row of pixels, (width * 3,) each: broadcasting three values is slow. Cached:
    sending them to a GPU at each step would wait for it."""
    import torch

    mean, std = (torch.tensor(v * width, device=device) for v in (preprocessing.mean, preprocessing.std))
    return 1 / (max_value * std), -mean / std
