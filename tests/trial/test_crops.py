import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.predict import trained as predicting
from common.errors import UsageError
from common.log import show_logs
from common.machine import PROJECT
from dataset.cache import arrays
from dataset.cache.arrays import Uncached
from dataset.faces import locate
from dataset.pixels import cut, read_photo, resize
from dataset.read import read_eval, read_train
from tests.conftest import TINY
from trial.choice import Choice
from trial.config import parse
from trial.data import batches
from trial.preprocessing import Preprocessing
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

SIZE = (32, 32)
CENTER = Choice("center", (("height", 0.5), ("width", 0.25)))
FACE = Choice("face", (("margin", 1.0), ("height", 0.5), ("width", 0.5)))


def prepared(crop: Choice) -> Preprocessing:
    return Preprocessing(SIZE, (0.0,) * 3, (1.0,) * 3, "bilinear", crop)


@pytest.fixture
def looked(monkeypatch, tmp_path) -> list[int]:
    """How many photos were searched at a time, by a detector that sees a face in every second one."""
    counts: list[int] = []

    def find(photos: np.ndarray) -> np.ndarray:
        counts.append(len(photos))
        boxes = np.tile(np.array([10, 10, 30, 24], np.float32), (len(photos), 1))
        boxes[::2] = np.nan
        return boxes

    monkeypatch.setattr(locate, "find_faces", find)
    monkeypatch.setattr(arrays, "CACHE", tmp_path / "cache")
    return counts


def read(photos: batches.Photos) -> np.ndarray:
    return photos.__getitems__([(1, row, 0) for row in range(len(photos))]).photos.numpy()


def test_a_crop_is_written_with_every_number_and_read_back():
    for crop in (CENTER, FACE, parse({**TINY, "crop": "face"}).crop):
        written = json.loads(json.dumps(prepared(crop).to_json()))
        assert Preprocessing.from_json(written) == prepared(crop)
    assert written["crop"] == {"_name": "face", "margin": 0.3, "height": 0.625, "width": 2 / 3}


def test_files_from_before_there_were_crops_see_the_whole_photo():
    older = prepared(CENTER).to_json()
    del older["crop"]
    assert Preprocessing.from_json(older) == prepared(Choice("none"))
    with pytest.raises(UsageError, match="unknown crop 'eyes'"):
        Preprocessing.from_json({**older, "crop": {"_name": "eyes"}})


@pytest.mark.parametrize("crop", [Choice("none"), CENTER, FACE], ids=str)
def test_cached_or_decoded_each_time_a_part_of_the_table_sees_the_same_pixels(
    crop, people, looked, monkeypatch
):
    table = read_train(people).table
    part = table.iloc[5::7]
    monkeypatch.setattr(batches.cached, "__defaults__", (arrays.CACHE, *batches.cached.__defaults__[1:]))
    kept = batches.shared_pixels(table, prepared(crop), cache_limit=1)
    each_time = batches.shared_pixels(table, prepared(crop), cache_limit=0)
    assert isinstance(kept, np.memmap) and isinstance(each_time, Uncached)
    seen = read(batches.Photos(part, prepared(crop), kept))
    assert np.array_equal(seen, read(batches.Photos(part, prepared(crop), each_time)))
    assert len(seen) == len(part) == 30
    if crop is CENTER:
        whole = read_photo(part["path"].iloc[4])
        assert np.array_equal(seen[4], resize(cut(whole, (0.25, 0.375, 0.75, 0.625)), SIZE))
    if crop is FACE:
        assert sum(looked) == len(table)  # once, for the whole table


def test_a_face_is_cut_out_with_its_margin_and_photos_without_one_in_the_middle(people, looked, capsys):
    show_logs()
    table = read_train(people).table.head(
        4
    )  # 64 x 48; faces of 20 x 14 at 10, 10 in the second and the fourth
    seen = read(batches.Photos(table, prepared(FACE)))
    assert "face found in 2 of 4 photos; the other 2 are cropped to the centre" in capsys.readouterr().err
    for row, (top, left, side) in enumerate([(16, 8, 32), (0, 0, 40)] * 2):
        whole = read_photo(table["path"].iloc[row])
        assert np.array_equal(seen[row], resize(whole[top : top + side, left : left + side], SIZE))


@pytest.mark.parametrize("crop", [CENTER, FACE], ids=str)
def test_prediction_sees_the_crop_of_the_run_folder_whatever_the_config_says(
    crop, people, looked, tmp_path, monkeypatch
):
    config = parse({**TINY, "epochs": 1, "data": str(people), "crop": crop.to_json()})
    writer = RunWriter(tmp_path / "run", config)
    run(config, writer, lambda epoch: None)
    assert RunFolder(tmp_path / "run").preprocessing().crop == crop
    other = {**config.to_json(), "crop": {"_name": "none"}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(other))

    seen = []

    def infer(network, preprocessing, compute, loader):
        seen.extend(batch.photos for batch in loader)
        return torch.zeros(len(torch.cat(seen)), 18), None

    monkeypatch.setattr(predicting, "infer", infer)
    photos = read_eval(people)
    predicting.predict(tmp_path / "run", photos)
    preprocessing = replace(RunFolder(tmp_path / "run").preprocessing(), crop=crop)
    boxes = preprocessing.crop_of(list(photos["path"])).boxes
    for photo, path, box in zip(torch.cat(seen).numpy(), photos["path"], boxes, strict=True):
        assert np.array_equal(photo, resize(cut(read_photo(path), box), SIZE))


def test_without_a_detector_only_a_face_crop_is_refused_with_the_fix(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "facenet_pytorch" else find(name, *more),
    )
    assert parse({**TINY, "crop": "center"}).crop.name == "center"
    with pytest.raises(UsageError, match=r"pip install --no-deps facenet-pytorch==2\.6\.0"):
        parse({**TINY, "crop": "face"})
    assert parse({**TINY, "crop": "face"}, present=False).crop.name == "face"
    with pytest.raises(UsageError, match="pip install --no-deps"):
        locate.find_faces(np.zeros((1, 64, 64, 3), np.uint8))


def test_parsing_a_crop_imports_neither_detector_nor_torch():
    code = "import sys; from trial.config import parse; parse({'crop': 'face', 'weights': 'none'})\n"
    code += "print([m for m in ('torch', 'facenet_pytorch', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_numbers_of_a_crop_are_kept_within_reason():
    for crop, word in (
        ({"_name": "center", "height": 0}, "0.1 to 1"),
        ({"_name": "face", "margin": 3}, "0 to 2"),
    ):
        with pytest.raises(UsageError, match=word):
            parse({**TINY, "crop": crop})
