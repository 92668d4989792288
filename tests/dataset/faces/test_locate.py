import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import UsageError
from common.machine import PROJECT
from dataset.cache.arrays import cached
from dataset.faces import locate
from dataset.faces.detector import find_faces
from dataset.faces.locate import face_crop, faces_in
from dataset.read import read_train

CODE = """
import sys
from pathlib import Path
from dataset.faces.locate import faces_in
print(faces_in(sys.argv[2:], Path(sys.argv[1])).shape, "facenet_pytorch" in sys.modules, "torch" in sys.modules)
"""


@pytest.fixture
def searched(monkeypatch) -> list[tuple]:
    """Shapes of the batches given to a fake detector: a face in the upper left quarter of each bright photo."""
    shapes = []

    def find(photos: np.ndarray) -> np.ndarray:
        shapes.append(photos.shape)
        height, width = photos.shape[1:3]
        boxes = np.tile(np.array([0, 0, height / 2, width / 2], np.float32), (len(photos), 1))
        boxes[photos[:, 0, 0].mean(1) < 100] = np.nan
        return boxes

    monkeypatch.setattr(locate, "find_faces", find)
    return shapes


def test_each_photo_has_its_face_as_fractions_whatever_its_size(tmp_path, folder, searched):
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for path, (height, width, grey) in zip(
        paths, [(40, 30, 200), (600, 300, 200), (40, 30, 0), (30, 40, 200)], strict=True
    ):
        cv2.imwrite(path, np.full((height, width, 3), grey, np.uint8))
    found = faces_in(paths, folder)
    assert found[[0, 1, 3], :4].tolist() == [[0, 0, 0.5, 0.5]] * 3 and np.isnan(found[2, :4]).all()
    assert found[:, 4].tolist() == pytest.approx([0.75, 0.5, 0.75, 4 / 3])
    assert sorted(searched) == [
        (1, 30, 40, 3),
        (1, 256, 128, 3),
        (2, 40, 30, 3),
    ]  # large ones are shrunk first


def test_they_are_searched_once_for_these_photos(paths, folder, searched, capsys):
    first = faces_in(paths, folder)
    assert capsys.readouterr().err == f"finding faces in 12 photos once, kept in {folder}\n"
    searched.clear()
    assert np.array_equal(faces_in(paths, folder), first, equal_nan=True)
    assert not searched and capsys.readouterr().err == ""
    faces_in(paths[:5], folder)
    assert searched == [(5, 40, 30, 3)]
    cv2.imwrite(paths[0], np.full((50, 30, 3), 200, np.uint8))
    searched.clear()
    assert faces_in(paths, folder)[0].tolist() == pytest.approx([0, 0, 0.5, 0.5, 0.6])
    assert (
        sum(len(shape) for shape in searched) and len(list(folder.glob("faces-*.npy"))) == 2
    )  # not the old one


def test_they_outlive_arrays_that_make_room(paths, folder, searched, nothing_half_made):
    faces_in(paths, folder)
    for size in ((20, 15), (15, 20)):
        assert cached(paths, size, "bicubic", folder, limit=12 * 20 * 15 * 3) is not None
    assert len(list(folder.glob("photos-*.npy"))) == 1 and nothing_half_made(folder)
    searched.clear()
    faces_in(paths, folder)
    assert not searched


def test_damaged_ones_are_found_again(paths, folder, searched):
    whole = faces_in(paths, folder)
    path = next(folder.glob("faces-*.npy"))
    for damaged in (b"", b"no array", path.read_bytes()[:-9]):
        path.write_bytes(damaged)
        assert np.array_equal(faces_in(paths, folder), whole, equal_nan=True)


def test_every_file_that_is_not_an_image_is_named(paths, folder, searched):
    for path in paths[2:4]:
        Path(path).write_text("no photo")
    with pytest.raises(UsageError) as caught:
        faces_in(paths, folder)
    assert [error.partition(":")[0] for error in caught.value.errors] == paths[2:4]
    assert [path.name for path in folder.iterdir()] == ["builder.lock"]


def test_where_they_cannot_be_kept_they_are_found_all_the_same(paths, tmp_path, searched, capsys):
    (tmp_path / "file").touch()
    assert faces_in(paths, tmp_path / "file" / "cache").shape == (12, 5)
    assert "can't be written to (Not a directory)" in capsys.readouterr().err


def test_one_process_looks_and_the_others_wait(paths, folder, searched, capsys):
    folder.mkdir()
    with (folder / "builder.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=faces_in, args=(paths, folder))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive() and not searched
    waiting.join(30)
    assert searched and "waiting for another process" in capsys.readouterr().err


def test_kept_ones_need_no_detector(paths, folder, searched):
    """Every trial does this at its start."""
    faces_in(paths, folder)
    done = subprocess.run(
        [sys.executable, "-c", CODE, folder, *paths], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.stdout == "(12, 5) False False\n", done.stderr


def test_the_number_of_faces_found_is_logged(paths, folder, searched, capsys, monkeypatch):
    monkeypatch.setattr("dataset.cache.arrays.CACHE", folder)
    boxes = face_crop(paths, (40, 30), 0, 0.5, 0.5).boxes
    in_middle = int((boxes[:, 0] == 0.25).sum())
    assert 0 < in_middle < 12
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"face found in {12 - in_middle} of 12 photos; the other {in_middle} are cropped to the centre"
    )


@pytest.mark.parametrize(("height", "width"), [(256, 192), (40, 30), (16, 12), (10, 300)])
def test_the_detector_finds_nothing_where_there_is_nothing(height, width):
    grey = np.full((2, height, width, 3), 120, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    for photos in (grey, noise):
        assert np.isnan(find_faces(photos)).all() and find_faces(photos).shape == (2, 4)


@pytest.mark.shared
def test_the_detector_finds_faces_with_and_without_a_mask(standin, folder):
    table = read_train(standin).table
    for mask in range(3):
        paths = list(table.loc[table["mask"] == mask, "path"][:8])
        top, left, bottom, right, _ = faces_in(paths, folder).T
        assert np.isfinite(top).sum() >= 7
        assert np.nanmedian(bottom - top) > 0.2
        assert abs(np.nanmedian((left + right) / 2) - 0.5) < 0.1
