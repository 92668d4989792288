"""Tensors on disk: how weights are written, for run folders and for what is fetched."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]") -> Path:
    """Write a state dict as safetensors, whole or not at all.

    Each tensor is written by itself, whatever its device and memory layout: a network's layers may share one
    (timm's coat_* do), which safetensors refuses. FloatingPointError names the first that holds NaN or an
    infinity: a network that a last step has broken is not kept as a good one.
    """
    from safetensors.torch import save_file

    ready, seen = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.is_floating_point() and not tensor.isfinite().all():
            what = "NaN" if tensor.isnan().any() else "an infinity"
            raise FloatingPointError(
                f"the network's {name} holds {what}, so it is not saved; "
                "a smaller learning_rate or precision=float32 may help"
            )
        memory = tensor.untyped_storage().data_ptr()
        ready[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return write_atomic(path, lambda part: save_file(ready, part))
