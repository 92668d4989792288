"""Device, precision and threads, decided once a run."""

import ctypes
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.machine import cores
from trial.config import TrialConfig
from trial.constraints import NO_FLOAT16

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Compute:
    """`precision`: autocast's type, float32 for none. `workers`: loader processes."""

    device: "torch.device"
    precision: "torch.dtype"
    workers: int

    def to_json(self) -> dict[str, Any]:
        """As decided, for origin.json."""
        import torch

        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        precision = str(self.precision).removeprefix("torch.")
        return {
            "device": str(self.device), "name": name, "precision": precision, "workers": self.workers,
            "threads": torch.get_num_threads(),
        }  # fmt: skip

    def place(self, network: "nn.Module") -> None:
        """Move `network` to the device; channels last in memory, as convolutions are fastest.

        Module.to(memory_format=channels_last) refuses networks that have a Conv3d (timm's lambda_resnets).
        """
        import torch

        network.to(self.device)
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)

    def autocast(self) -> Any:
        import torch

        enabled = self.precision is not torch.float32
        return torch.autocast(self.device.type, self.precision, enabled=enabled)


def decide(config: TrialConfig, network: "nn.Module") -> Compute:
    """What `config` asks for on this machine for `network`; UsageError where the machine hasn't got it.

    device=auto is the GPU where there is one, else the CPU; precision=auto: `_fastest`. It also sets this
    process up for it: torch's threads, cuDNN's search for the fastest kernel, how the C library frees memory.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    name = ("cuda" if on_gpu else "cpu") if config.device == "auto" else config.device
    if name.startswith("cuda") and not on_gpu:
        raise UsageError(f"device={name}: no GPU that torch can use here; leave device out, or device=cpu")
    device = torch.device(name)
    if config.precision == "float16" and device.type == "cpu":
        raise UsageError(NO_FLOAT16)
    auto = config.precision == "auto"
    precision = _fastest(device, network) if auto else getattr(torch, config.precision)
    torch.set_num_threads(config.threads or cores())
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    _keep_freed_memory()
    workers = config.workers if config.workers >= 0 else (4 if device.type == "cuda" else 0)
    return Compute(device, precision, workers)


def _fastest(device: "torch.device", network: "nn.Module") -> "torch.dtype":
    """On a GPU bfloat16 where it is native, else float16. On a CPU that multiplies matrices of bfloat16 (AMX)
    the same for networks of plain convolutions, which it doubles in speed; grouped ones (every mobile
    network's) it slows down. Else float32."""
    import torch
    from torch import nn

    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    grouped = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # torch has no public name for it
    return torch.bfloat16 if device.type == "cpu" and not grouped and has_amx() else torch.float32


def _keep_freed_memory() -> None:
    """Has the C library keep what a step frees for the next one. By default it gives every large block back
    to the system, which zeroes it again, page by page, at each step."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # glibc's; musl has none
            mmap_threshold, trim_threshold = -3, -1
            # An older one takes no more than the second.
            library.mallopt(mmap_threshold, 2**30) or library.mallopt(mmap_threshold, 2**25)
            library.mallopt(trim_threshold, 2**31 - 1)
