"""Tensors on disk: how state dicts are written, in run folders and as fetched weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]") -> Path:
    """Write a state dict as safetensors, atomically.

    A tensor that several layers share (in timm's coat_*) is written once for each: safetensors refuses shared
    memory. FloatingPointError names the first tensor with NaN or an infinity, so that a network that diverged
    in its last step is not kept.
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
