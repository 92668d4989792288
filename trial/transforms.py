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

        top = 1
        if photos.dtype == torch.uint8:
            photos, top = photos.permute(0, 3, 1, 2), 255
        if out is None:
            out = torch.empty(
                photos.shape, device=photos.device, memory_format=torch.channels_last, dtype=torch.float32
            )
        mean, std = (torch.tensor(v, device=photos.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return torch.mul(photos, 1 / (top * std), out=out).sub_(mean / std)
