import cv2
import numpy as np
import pytest

from dataset.errors import CallersMistake
from dataset.pixels import read_photo, resize, unreadable


def test_photos_are_rgb_height_width(tmp_path):
    red = np.zeros((20, 10, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    photo = read_photo(tmp_path / "red.png")
    assert photo.shape == (20, 10, 3) and photo.dtype == np.uint8
    assert photo[0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages_areas_and_size_is_height_width():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert resize(stripes, (16, 8), "nearest").shape == (16, 8, 3)
    assert (resize(stripes, (32, 32), "bicubic") == 100).all()
    assert resize(stripes, (128, 96), "bicubic").shape == (128, 96, 3)
    with pytest.raises(CallersMistake, match="unknown interpolation"):
        resize(stripes, (9, 9), "magic")


def test_unreadable_photos_are_named(tmp_path):
    good = tmp_path / "good.jpg"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(good), rng.integers(0, 255, (64, 48, 3), dtype=np.uint8))
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:-700])
    paths = [tmp_path / name for name in ("good.jpg", "text.jpg", "empty.png", "cut.jpg", "gone.jpg")]
    found = unreadable(paths)
    assert [fault.split(":")[0] for fault in found] == [str(path) for path in paths[1:]]
    assert (
        "no photo" in found[0]
        and "empty" in found[1]
        and "damaged" in found[2]
        and "can't be read" in found[3]
    )
    with pytest.raises(CallersMistake, match=r"text\.jpg"):
        read_photo(tmp_path / "text.jpg")
