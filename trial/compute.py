"""Device, precision and threads, decided once a run."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataset.errors import CallersMistake
from trial.config import TrialConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Compute:
    """`precision` None: float32 throughout; else autocast's type. `workers`: loader processes."""

    device: "torch.device"
    precision: "torch.dtype | None"
    workers: int

    def to_json(self) -> dict[str, Any]:
        """As decided, for origin.json."""
        import torch

        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        precision = str(self.precision or torch.float32).removeprefix("torch.")
        return {
            "device": str(self.device), "name": name, "precision": precision, "workers": self.workers,
            "threads": torch.get_num_threads(),
        }  # fmt: skip

    def autocast(self) -> Any:
        import torch

        enabled = self.precision is not None
        return torch.autocast(self.device.type, self.precision or torch.bfloat16, enabled=enabled)


def decide(config: TrialConfig) -> Compute:
    """What `config` asks for on this machine; CallersMistake where the machine hasn't got it.

    'auto' is the GPU where there is one, with bfloat16 where it is native (else float16), or the CPU with
    float32.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    name = ("cuda" if on_gpu else "cpu") if config.device == "auto" else config.device
    if name.startswith("cuda") and not on_gpu:
        raise CallersMistake(
            f"device={name}: no GPU that torch can use here; leave device out, or device=cpu"
        )
    device = torch.device(name)
    if config.precision == "float16" and device.type == "cpu":
        raise CallersMistake("precision=float16 needs a GPU; on the CPU use bfloat16 or float32")
    if config.precision == "auto":
        native = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else False
        automatic = torch.bfloat16 if native else torch.float16
        precision = automatic if device.type == "cuda" else None
    else:
        precision = None if config.precision == "float32" else getattr(torch, config.precision)
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    workers = config.workers if config.workers >= 0 else (4 if device.type == "cuda" else 0)
    return Compute(device, precision, workers)
