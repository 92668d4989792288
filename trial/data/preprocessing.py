"""From a photo to what a network sees, the same at training, validation and prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from trial.choice import Choice, choose
from trial.data.crops import CROPS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dataset.boxes import Crop


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is prepared, at training, validation and prediction alike; kept in the run folder.

    Cropped, resized to `image_size` (height, width), then per channel (value / 255 - mean) / std.
    """

    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: Choice = Choice("none")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "crop": self.crop.to_json()}

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Preprocessing":
        """What `to_json` gave; UsageError where it names a crop that is not known here."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
        errors: list[str] = []
        crop = choose("crop", values.pop("crop", "none"), CROPS, errors)
        if crop is None or errors:
            raise UsageError(errors)
        return cls(**values, crop=crop)

    def crop_of(self, paths: Sequence[str]) -> "Crop | None":
        """The part of each photo that is kept; None: all of it."""
        return self.crop.build(CROPS, paths, self.image_size)

    def normalise(self, photos: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        """float32 (B, 3, height, width), where `photos` are: uint8 (B, height, width, 3) from 0 to 255 or
        float (B, 3, height, width) from 0 to 1. Into `out` where it is given; channels_last."""
        import torch

        whole = photos.dtype == torch.uint8
        pixels = photos if whole else photos.permute(0, 2, 3, 1)
        batch, height, width, channels = pixels.shape
        if out is None:
            out = torch.empty(
                (batch, channels, height, width), device=photos.device, memory_format=torch.channels_last
            )
        rows = pixels.float().reshape(batch, height, -1)
        scale, shift = _row(self, width, 255 if whole else 1, photos.device)
        torch.addcmul(shift, rows, scale, out=out.permute(0, 2, 3, 1).view_as(rows))
        return out


@cache
def _row(
    preprocessing: Preprocessing, width: int, top: int, device: "torch.device"
) -> "tuple[Tensor, Tensor]":
    """(scale, shift) for a whole row, (width * 3,): three numbers by themselves are slow. Made once: to send
    them to a GPU at each step would wait for it."""
    import torch

    mean, std = (torch.tensor(v * width, device=device) for v in (preprocessing.mean, preprocessing.std))
    return 1 / (top * std), -mean / std
