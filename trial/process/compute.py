"""Device, precision, workers and threads of a run, decided once."""

import contextlib
import ctypes
import logging
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.machine import cores
from common.text import bytes_text
from trial.constraints import NO_FLOAT16
from trial.process.ranks import ALONE, Ranks
from trial.process.threads import Apart, keep_apart

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = logging.getLogger(__name__)
PIXELS_SHARE = 0.25  # of the device's free memory, at most, that decoded photos may take; networks need more


@dataclass(frozen=True)
class Compute:
    """`precision`: the dtype of autocast, float32 for none. `workers`: processes of the loader. `apart`: for
    two threads on a CPU. `ranks`: the processes that train one network, each with its own Compute."""

    device: "torch.device"
    precision: "torch.dtype"
    workers: int
    apart: Apart | None = None
    ranks: Ranks = ALONE

    def to_json(self) -> dict[str, Any]:
        """What was decided, for origin.json."""
        import torch

        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        precision = str(self.precision).removeprefix("torch.")
        return {
            "device": str(self.device), "name": name, "precision": precision, "workers": self.workers,
            "threads": torch.get_num_threads(), "processes": self.ranks.world,
        }  # fmt: skip

    def place(self, network: "nn.Module") -> None:
        """Move `network` to the device, in channels_last memory format: the fastest for convolutions.

        Module.to(memory_format=channels_last) refuses networks that have a Conv3d (timm's lambda_resnets).
        """
        import torch

        network.to(self.device)
        if self.ranks.world > 1 and self.device.type == "cuda":
            self.ranks.synchronise(network)
        on_cpu = self.device.type == "cpu"
        narrow = [module for module in network.modules() if on_cpu and _is_narrow(module)]
        for convolution in narrow:
            convolution.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        contiguous = {id(module.weight) for module in narrow}
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.dim() == 4 and id(tensor) not in contiguous:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)

    def room_for(self, pixels: str, shape: tuple[int, ...]) -> "torch.Tensor | None":
        """Memory of the device for the decoded photos of a run, uint8 of this shape, not yet filled; None if
        they stay in the machine's memory.

        `pixels`: a TrialConfig's. auto is a GPU's, if they fit into PIXELS_SHARE of what is free there: the
        rest is for the network. If they don't fit, the log says so; batches are the same either way.
        """
        import torch

        if pixels == "host" or (pixels == "auto" and self.device.type != "cuda"):
            return None
        need = math.prod(shape)
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if need > PIXELS_SHARE * free:
                what = f"{shape[0]:,} photos ({bytes_text(need)})"
                logger.info(f"{what} stay off the GPU, of which {bytes_text(free)} are free")
                return None
        try:
            return torch.empty(shape, dtype=torch.uint8, device=self.device)
        except torch.OutOfMemoryError:  # another process has taken it meanwhile
            logger.info(f"{shape[0]:,} photos ({bytes_text(need)}) stay off the GPU: its memory is taken")
            return None

    def passes(
        self, network: "nn.Module", compile: bool | str, batch_size: int, frozen: bool
    ) -> "Callable[[torch.Tensor], torch.Tensor]":
        """`network` for the passes of training: on several ranks in DDP (`frozen`: layers are frozen in some
        epochs), or compiled. Of a compiled one, other batches than those of `batch_size` photos, the last of
        an epoch say, run as they are: another shape would be compiled again, for as long. So do validation
        and prediction.

        `compile`: a TrialConfig's. graphs also replays a pass as one CUDA graph, which spares a small network
        the time of starting each kernel; on a CPU it is the same as true.
        """
        import torch

        if not compile:
            return self.ranks.parallel(network, frozen)
        mode = "reduce-overhead" if compile == "graphs" else None
        compiled = torch.compile(network, dynamic=False, mode=mode)
        return lambda images: (compiled if len(images) == batch_size else network)(images)

    def device_bytes(self) -> int:
        """The most memory of the GPU that torch has held for this process, CUDA's own not counted; 0 without
        one."""
        import torch

        return torch.cuda.max_memory_reserved(self.device) if self.device.type == "cuda" else 0

    def autocast(self) -> Any:
        """torch's autocast context of this device and precision; disabled for float32."""
        import torch

        enabled = self.precision is not torch.float32
        return torch.autocast(self.device.type, self.precision, enabled=enabled)

    def on_own_cores(self) -> "contextlib.AbstractContextManager[None]":
        """Keeps this thread on other cores than its partner's, for work of torch."""
        return self.apart() if self.apart else contextlib.nullcontext()


def _is_narrow(module: Any) -> bool:
    """A convolution whose backward pass in channels_last format kills the process on a CPU without AVX-512:
    oneDNN's in torch 2.14 writes past its buffers there. FastViT and MobileOne begin with one."""
    import torch

    return (
        isinstance(module, torch.nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < 8
    )


def decide(
    network: "nn.Module",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    workers: int = -1,
    ranks: Ranks = ALONE,
) -> Compute:
    """Choose device, precision and loader workers for `network`, and set up this process for them: torch's
    threads (0: all cores) and their cores, cuDNN's search for the fastest kernel, how freed memory is kept.

    device=auto is the GPU if there is one, else the CPU; precision=auto: see `_fastest`; workers=-1 is 4 with
    a GPU, else 0. Each of several `ranks` has its GPU and its part of the cores. UsageError if this machine
    lacks what is asked for.
    """
    import torch

    on_gpu = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if on_gpu else "cpu"
    if device.startswith("cuda") and not on_gpu:
        raise UsageError(f"device={device}: no GPU that torch can use here; leave device out, or device=cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device=mps: no Apple GPU that torch can use here; leave device out, or device=cpu")
    if ranks.world > 1 and device == "cuda":
        device = f"cuda:{ranks.rank}"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= (number := torch.cuda.device_count()):
        raise UsageError(f"device={device}: torch can use {number} GPUs here, cuda:0 to cuda:{number - 1}")
    if precision == "float16" and chosen.type == "cpu":
        raise UsageError(NO_FLOAT16)
    dtype = _fastest(chosen, network) if precision == "auto" else getattr(torch, precision)
    torch.set_num_threads(threads or max(1, cores() // ranks.world))
    if chosen.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    _keep_freed_memory()
    apart = keep_apart(torch.get_num_threads()) if chosen.type == "cpu" else None
    workers = workers if workers >= 0 else (4 if chosen.type == "cuda" else 0)
    return Compute(chosen, dtype, workers, apart, ranks)


def _fastest(device: "torch.device", network: "nn.Module") -> "torch.dtype":
    """On a GPU bfloat16 if it is native, else float16. On a CPU that multiplies bfloat16 matrices (AMX)
    bfloat16 for networks of plain convolutions, twice as fast; grouped convolutions (of every mobile network)
    it would slow down. Else float32."""
    import torch
    from torch import nn

    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    grouped = any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # torch has no public name for it
    return torch.bfloat16 if device.type == "cpu" and not grouped and has_amx() else torch.float32


def _keep_freed_memory() -> None:
    """Let the C library keep the memory that a step frees for the next step. By default it returns every
    large block to the system, which zeroes it again, page by page, at each step."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # glibc has it, musl does not
            mmap_threshold, trim_threshold = -3, -1
            # Older versions take at most the second value.
            library.mallopt(mmap_threshold, 2**30) or library.mallopt(mmap_threshold, 2**25)
            library.mallopt(trim_threshold, 2**31 - 1)
