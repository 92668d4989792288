"""From a photo to what a network sees, the same at training, validation and prediction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is prepared, at training, validation and prediction alike; kept in the run folder.

    Resized to `image_size` (height, width), then per channel (value / 255 - mean) / std.
    """

    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Preprocessing":
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
        return cls(**values)

    def normalise(self, photos: "Tensor", out: "Tensor | None" = None) -> "Tensor":
        """float32 (B, 3, height, width), where `photos` are: uint8 (B, height, width, 3) from 0 to 255 or
        float (B, 3, height, width) from 0 to 1. Into `out` where it is given; channels_last."""
        import torch

        top = 255 if photos.dtype == torch.uint8 else 1
        pixels = photos if photos.dtype == torch.uint8 else photos.permute(0, 2, 3, 1)
        batch, height, width, channels = pixels.shape
        if out is None:
            out = torch.empty(
                (batch, channels, height, width), device=photos.device, memory_format=torch.channels_last
            )
        # Whole rows, each with the three numbers again and again: three by three is slow.
        mean, std = (torch.tensor(v * width, device=photos.device) for v in (self.mean, self.std))
        rows = pixels.float().reshape(batch, height, -1)
        torch.addcmul(-mean / std, rows, 1 / (top * std), out=out.permute(0, 2, 3, 1).view_as(rows))
        return out
