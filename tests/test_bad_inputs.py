"""A corpus of broken inputs: each is refused in clear lines, or read as it should be; nothing else ever happens."""

import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save

from common.errors import UsageError
from common.machine import PROJECT
from dataset.pixels import decode_errors
from dataset.read import read_eval, read_train
from dataset.task import Task
from experiments.check import plan_errors, recipe_errors
from experiments.checks.space import sound, space_errors
from experiments.checks.yaml_keys import key_errors
from experiments.plan import read_plan
from tests.dataset.image_bytes import chunk, jpeg, png
from trial.config import FIELDS, parse
from trial.data import pseudo_labels
from trial.models.weights import load
from trial.run_folder.out_of_fold import predictions

MAX_LENGTH = 700  # of a message, without the path
Change = Callable[[bytes], bytes]


def clear(function: Callable[[], Any], *folders: Path) -> list[str]:
    """The messages with which `function` refuses, [] if it does not. Any other exception fails the test."""
    try:
        function()
    except UsageError as error:
        return checked(error.errors, *folders)
    return []


def checked(messages: list[str], *folders: Path) -> list[str]:
    assert all(messages)
    for message in messages:
        for folder in folders:
            message = message.replace(str(folder), "")
        assert "\n" not in message, message
        assert len(message) <= MAX_LENGTH, message
        assert "Error(" not in message and "object at 0x" not in message, message
    return messages


def bytes_damaged(seed: int, n: int = 6) -> Iterator[tuple[str, Change]]:
    """What happens to any file, at places drawn with `seed`."""
    draw = random.Random(seed)
    yield "empty", lambda data: b""
    yield "zeros", lambda data: bytes(len(data))
    yield "a text", lambda data: b"<html><body>Not found</body></html>"
    yield "binary", lambda data: bytes(range(256)) * 3
    yield "UTF-16", lambda data: "path,label\n".encode("utf-16")
    yield "twice", lambda data: data + data
    for _ in range(n):
        part = draw.random()
        yield f"cut at {part:.3f}", lambda data, part=part: data[: int(len(data) * part)]
        yield (
            f"zeros from {part:.3f}",
            lambda data, part=part: data[: (at := int(len(data) * part))] + bytes(len(data) - at),
        )
        yield f"a byte at {part:.3f}", lambda data, part=part: _replaced(data, part, b"\xff")
        yield f"8 bytes at {part:.3f}", lambda data, part=part: _replaced(data, part, draw.randbytes(8))


def _replaced(data: bytes, part: float, by: bytes) -> bytes:
    at = int(len(data) * part)
    return data[:at] + by + data[at + len(by) :]


DRAWN = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8))
HEAD = b"\x89PNG\r\n\x1a\n"
PHOTOS = {"jpg": jpeg(DRAWN, quality=90), "progressive.jpg": jpeg(DRAWN, progressive=True), "png": png(DRAWN)}


def header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return HEAD + chunk(b"IHDR", size + bytes([bits, colour, 0, 0, 0])) + chunk(b"IEND", b"")


def other(kind: str) -> bytes:
    import io

    buffer = io.BytesIO()
    DRAWN.save(buffer, kind)
    return buffer.getvalue()


MORE_PHOTOS = {
    "no pixels": header(0, 0), "a bomb": header(60_000, 60_000), "negative": header(2**31, 5),
    "bits": header(4, 4, bits=3), "colour": header(4, 4, colour=9), "no data": header(4, 4), "head only": HEAD,
    **{f"a {kind}": other(kind) for kind in ("GIF", "BMP", "TIFF", "WEBP", "PDF", "ICO")},
    "JPEG head": b"\xff\xd8\xff\xe0", "JPEG end": b"\xff\xd8\xff\xd9", "SVG": b'<svg xmlns="x"/>', "a zip": b"PK\x03\x04",
}  # fmt: skip
PHOTO_CASES = [
    *(
        (f"{kind}: {what}", change(data))
        for kind, data in PHOTOS.items()
        for what, change in bytes_damaged(1)
    ),
    *MORE_PHOTOS.items(),
]


def test_photos(tmp_path):
    paths = []
    for number, (_, data) in enumerate(PHOTO_CASES):
        paths.append(tmp_path / f"{number}.{'png' if number % 2 else 'jpg'}")
        paths[-1].write_bytes(data)
    found = {error.partition(": ")[0] for error in checked(decode_errors(paths), tmp_path)}
    for path, (what, data) in zip(paths, PHOTO_CASES, strict=True):
        if (
            not data
            or what.partition(": ")[2] in ("zeros", "a text", "binary", "UTF-16")
            or what in MORE_PHOTOS
        ):
            assert str(path) in found or what in ("a WEBP", "a BMP", "a TIFF", "a GIF"), what


LINES = [
    f"{n}{animal}_{shot}.jpg,{n},{n}{animal},train"
    for n in ("cat", "dog")
    for animal in range(4)
    for shot in (0, 1)
]
CSV = "\n".join(["path,label,group,split", *LINES, "new.jpg,,,eval"]) + "\n"
FIRST = LINES[0]
TEXTS = {
    "semicolons": CSV.replace(",", ";"), "tabs": CSV.replace(",", "\t"), "no header": "\n".join(LINES),
    "header only": "path,label,group,split\n", "header twice": CSV.replace(FIRST, "path,label,group,split"),
    "other columns": CSV.replace("path,label", "file,class"), "column twice": CSV.replace("path,label", "path,path"),
    "a quote": CSV.replace(FIRST, f'"{FIRST}'), "quotes": CSV.replace(FIRST, f'"{FIRST}"'), "CR only": CSV.replace("\n", "\r"),
    "a NUL": CSV.replace(FIRST, FIRST + "\0"), "an empty path": CSV.replace(FIRST, ",cat,cat0,train"),
    "a folder": CSV.replace(FIRST, ".,cat,cat0,train"), "up": CSV.replace(FIRST, "../up.jpg,cat,cat0,train"),
    "far up": CSV.replace(FIRST, "a/../../../etc/passwd,cat,cat0,train"), "absolute": CSV.replace(FIRST, "/etc/passwd,cat,cat0,train"),
    "home": CSV.replace(FIRST, "~/x.jpg,cat,cat0,train"), "a URL": CSV.replace(FIRST, "http://x/y.jpg,cat,cat0,train"),
    "UNC": CSV.replace(FIRST, "\\\\server\\x.jpg,cat,cat0,train"), "missing photo": CSV.replace("cat0_0.jpg", "none.jpg"),
    "photo twice": CSV.replace("cat0_1.jpg", "cat0_0.jpg"), "label missing": CSV.replace(FIRST, "cat0_0.jpg,,cat0,train"),
    "group missing": CSV.replace(FIRST, "cat0_0.jpg,cat,,train"), "split wrong": CSV.replace(FIRST, "cat0_0.jpg,cat,cat0,middle"),
    "one class": CSV.replace(",dog,", ",cat,"), "one group": CSV.replace("cat1", "cat0").replace("cat2", "cat0").replace("cat3", "cat0"),
    "spaces": CSV.replace(",", " , "), "long name": CSV.replace(FIRST, "x" * 5000 + ".jpg,cat,cat0,train"),
    "more fields": CSV.replace(FIRST, FIRST + ",x,y"), "fewer fields": CSV.replace(FIRST, "cat0_0.jpg"),
    "formula": CSV.replace(",cat,", ",=1+1,"), "a tag": CSV.replace(",cat,", ",<script>alert(1)</script>,"),
    "a line break": CSV.replace(",cat,", ',"c\nat",'), "only commas": CSV + ",,,\n", "1 GB field": CSV.replace("cat0,train", "x" * 200_000 + ",train"),
    "no eval": CSV.replace("new.jpg,,,eval\n", ""), "all eval": CSV.replace(",train", ",eval"), "BOM": "\ufeff" + CSV,
    "BOM twice": "\ufeff\ufeff" + CSV, "emoji": CSV.replace(",cat,", ",🐱,"), "control": CSV.replace(",cat,", ",c\x07t,"),
    "right to left": CSV.replace(",cat,", ",\u202etac,"),
}  # fmt: skip
CSV_CASES = [
    *((f"text: {what}", text.encode()) for what, text in TEXTS.items()),
    *((f"bytes: {what}", change(CSV.encode())) for what, change in bytes_damaged(2, 4)),
]
STAYS = (
    "quotes",
    "CR only",
    "spaces",
    "only commas",
    "no eval",
    "BOM",
    "emoji",
    "formula",
    "a tag",
    "twice",
    "control",
    "right to left",
)


@pytest.fixture
def pets(tmp_path):
    (tmp_path / "set").mkdir()
    for line in [*LINES, "new.jpg"]:
        (tmp_path / "set" / line.partition(",")[0]).write_bytes(PHOTOS["jpg"])
    return tmp_path / "set"


@pytest.mark.slow
def test_csvs(pets):
    (pets.parent / "up.jpg").write_bytes(PHOTOS["jpg"])
    (pets / "photos.csv").write_text(CSV)
    assert clear(lambda: read_train(pets)) == []
    for what, data in CSV_CASES:
        (pets / "photos.csv").write_bytes(data)
        found = clear(lambda: read_train(pets), pets)
        found += clear(lambda: read_eval(pets), pets)
        name = what.partition(": ")[2]
        assert found or name.startswith(STAYS) or "byte" in name or "from" in name or "cut" in name, what
        if name in ("up", "far up", "absolute"):
            assert any("outside the data folder" in message for message in found), found


def test_pseudo_labels(tmp_path):
    path, task = tmp_path / "labels.csv", Task("pets", ("cat", "dog"))
    photos = pd.DataFrame({"photo": [f"{n}.jpg" for n in range(20)], "path": "x"})
    pseudo_labels.write(path, photos["photo"], np.arange(20) % 2, task, "")
    whole = path.read_bytes()
    for what, change in bytes_damaged(5):
        path.write_bytes(change(whole))
        found = clear(lambda: pseudo_labels.read(path, photos, task), tmp_path)
        assert found or "byte" in what or "cut" in what or "zeros from" in what, what


def test_predictions_of_a_teacher(tmp_path):
    task, table = Task("pets", ("cat", "dog")), pd.DataFrame({"photo": [f"{n}.jpg" for n in range(20)]})
    path = tmp_path / "validation.parquet"
    (tmp_path / "task.json").write_text(json.dumps(task.to_json()))
    table.assign(group="a", label=0, fold=0, p00=0.25, p01=0.75).to_parquet(path)
    whole = path.read_bytes()
    assert clear(lambda: predictions([str(tmp_path)], table, task)) == []
    for what, change in bytes_damaged(6):
        path.write_bytes(change(whole))
        found = clear(lambda: predictions([str(tmp_path)], table, task), tmp_path)
        assert found or "byte" in what or "twice" in what, what


WRONG: list[Any] = [
    None, "", " ", "nan", "x" * 99, "1e400", -1, 0, 10**30, 0.5, float("nan"), float("inf"), True, [], {}, [1, 2], {"_name": 1},
    {"_name": "none", "x": 1}, {"a": {"b": []}}, "../..", "\0", "🐱", "1,5", b"bytes",
]  # fmt: skip
RECIPE_CASES = [(field, value) for field in FIELDS for value in WRONG]


@pytest.mark.parametrize("field", FIELDS)
def test_recipes_field_by_field(field):
    """What is taken is read back from its JSON as it was taken."""
    for value in WRONG:
        try:
            config = parse({field: value}, present=False)
        except UsageError as error:
            checked(error.errors)
        else:
            written = json.loads(json.dumps(config.to_json()))
            assert parse(written, present=False) == config, (field, value)


@pytest.mark.parametrize(
    "values", [{1: 2}, {"": 1}, {None: 1}, {"model ": "resnet18"}, {"MODEL": "resnet18"}, {"loss.x": 1}]
)
def test_recipes_with_strange_keys(values):
    assert clear(lambda: parse(values, present=False))


EXPERIMENT = yaml.safe_load((PROJECT / "experiments" / "loss.yaml").read_text())
SPACE = json.loads((PROJECT / "search_spaces" / "loss.json").read_text())
KEYS = [*EXPERIMENT, "maxExperimentDuration", "assessor", "trialGpuNumber", "searchSpace", "debug"]
YAML_VALUES: list[Any] = [
    None,
    [],
    {},
    "x",
    -1,
    True,
    1e400,
    {"name": "Nobody"},
    {"className": "os.system"},
    "../" * 40,
]
SPACE_VALUES: list[Any] = [
    None, [], {}, "x", 1, {"_type": "choice"}, {"_type": "choice", "_value": []}, {"_type": "choice", "_value": "abc"},
    {"_type": "uniform", "_value": [1]}, {"_type": "uniform", "_value": [2, 1]}, {"_type": "uniform", "_value": ["a", "b"]},
    {"_type": "loguniform", "_value": [0, 1]}, {"_type": "loguniform", "_value": [float("nan"), 1]},
    {"_type": "randint", "_value": [0, 1e400]}, {"_type": "nothing", "_value": [1, 2]}, {"_type": ["choice"], "_value": [1]},
    {"_type": "choice", "_value": [{"_name": "focal", "gamma": 1e400}]}, {"_type": "choice", "_value": [{"gamma": 1}]},
    {"_type": "choice", "_value": [[1, [2]], {"_name": {"_name": "x"}}]}, {"_type": "quniform", "_value": [0, 1, 0]},
]  # fmt: skip
YAML_TEXTS = {
    "a list": "- 1\n", "a text": "x", "tabs": "a:\n\tb: 1", "an object": "a: !!python/object/apply:os.system [id]\n",
    "itself": "a: &a [*a]\n", "a date": "experimentName: 2020-01-01\n", "twice": "maxTrialNumber: 1\nmaxTrialNumber: 2\n",
    "deep": "a: " + "[" * 3000, "a bomb": "a: &a [x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)},*{chr(97 + i)}]\n" for i in range(8)),
    "bytes": "a: !!binary aGVsbG8=\n", "nothing": "", "comment": "# x\n", "two documents": "a: 1\n---\nb: 2\n",
}  # fmt: skip
YAML_CASES = [
    *((f"{key}: {value}", {**EXPERIMENT, key: value}) for key in KEYS for value in YAML_VALUES),
    *(
        (f"no {key}", {name: value for name, value in EXPERIMENT.items() if name != key})
        for key in EXPERIMENT
    ),
]
SPACE_CASES = [
    {**SPACE, field: value} for field in ("loss", "learning_rate", "nothing") for value in SPACE_VALUES
]


def experiment_errors(path: Path) -> list[str]:
    """What `experiments check` finds without reading photos."""
    plan, errors = read_plan(path)
    if plan is not None:
        errors += key_errors(plan.config) + space_errors(plan.space)
        from dataclasses import replace

        plan = replace(plan, space=sound(plan.space))
        errors += plan_errors(plan) + recipe_errors(plan, present=False)
    return errors


@pytest.mark.slow
def test_experiments(tmp_path):
    path = tmp_path / "x.yaml"
    paths = {
        "searchSpaceFile": str(PROJECT / "search_spaces" / "loss.json"),
        "trialCodeDirectory": str(PROJECT),
    }
    for _, config in YAML_CASES:
        path.write_text(
            yaml.safe_dump(
                {
                    key: paths.get(key, value) if value == EXPERIMENT.get(key) else value
                    for key, value in config.items()
                }
            )
        )
        checked(experiment_errors(path), tmp_path, PROJECT)
    for what, text in YAML_TEXTS.items():
        path.write_text(text)
        assert checked(experiment_errors(path), tmp_path), what
    for space in SPACE_CASES:
        (tmp_path / "space.json").write_text(json.dumps(space))
        path.write_text(yaml.safe_dump({**EXPERIMENT, **paths, "searchSpaceFile": "space.json"}))
        assert checked(experiment_errors(path), tmp_path, PROJECT) or space["loss"] == {}, space


class Runs:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/it-ran"),))


def weights_cases(folder: Path) -> Iterator[tuple[str, Path]]:
    whole = save({"conv.weight": torch.ones(4, 3), "fc.bias": torch.ones(2)})
    torch.save({"state_dict": {"x": torch.ones(3)}}, folder / "whole.pth")
    for kind, data in (("safetensors", whole), ("pth", (folder / "whole.pth").read_bytes())):
        for number, (what, change) in enumerate(bytes_damaged(3, 5)):
            path = folder / f"{number}.{kind}"
            path.write_bytes(change(data))
            yield f"{kind}: {what}", path
    texts = [
        b"{}", b'{"x": 1}', b'{"x":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', b'{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}', b'{"x":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"[" * 5000,
    ]  # fmt: skip
    for number, text in enumerate(texts):
        for length in (len(text), 2**60):
            path = folder / f"text{number}-{length}.safetensors"
            path.write_bytes(length.to_bytes(8, "little") + text + bytes(4))
            yield f"header {text[:30]!r} {length}", path
    for number, content in enumerate(
        [
            Runs(),
            {"x": Runs()},
            {"state_dict": Runs()},
            print,
            {"x": float("nan")},
            "text",
            {"x": torch.tensor([float("inf")])},
        ]
    ):
        path = folder / f"pickle{number}.pt"
        torch.save(content, path)
        yield f"pickle {number}", path
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    yield "a zip that unpacks to 50 MB of zeros", folder / "bomb.pt"
    (folder / "folder.pth").mkdir()
    yield "an empty folder", folder / "folder.pth"


def test_weights_files(tmp_path):
    Path("/tmp/it-ran").unlink(missing_ok=True)
    cases = list(weights_cases(tmp_path))
    for what, path in cases:
        found = clear(lambda path=path: load("resnet18", str(path)), tmp_path)
        assert found or "byte" in what or "zeros from" in what or "twice" in what or what == "pth: UTF-16", (
            what
        )
    assert not Path("/tmp/it-ran").exists(), "code in a file ran"
    assert len(cases) >= 60


def test_the_corpus_is_large():
    """With the damaged run folders of tests/analysis/trials/test_damage.py, which count themselves."""
    counts = {
        "photos": len(PHOTO_CASES), "CSVs": len(CSV_CASES), "recipes": len(RECIPE_CASES),
        "experiments": len(YAML_CASES) + len(YAML_TEXTS), "spaces": len(SPACE_CASES),
    }  # fmt: skip
    print(counts)
    assert min(counts.values()) >= 60
    assert sum(counts.values()) >= 1_000
