import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw
from dataset.pixels import cut, decode_errors, read_photo, read_to_size, resize


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
    with pytest.raises(UsageError, match="unknown interpolation"):
        resize(stripes, (9, 9), "magic")


def test_unreadable_photos_are_named(tmp_path):
    good = tmp_path / "good.jpg"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(good), rng.integers(0, 255, (64, 48, 3), dtype=np.uint8))
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:-700])
    paths = [tmp_path / name for name in ("good.jpg", "text.jpg", "empty.png", "cut.jpg", "gone.jpg")]
    found = decode_errors(paths)
    assert [error.split(":")[0] for error in found] == [str(path) for path in paths[1:]]
    assert (
        "not an image" in found[0]
        and "empty" in found[1]
        and "damaged" in found[2]
        and "can't be read" in found[3]
    )
    with pytest.raises(UsageError, match=r"text\.jpg"):
        read_photo(tmp_path / "text.jpg")


def near(one: np.ndarray, other: np.ndarray) -> float:
    """PSNR in dB; differences above 40 dB are hard to see."""
    return 10 * np.log10(255**2 / max(((one.astype(float) - other) ** 2).mean(), 1e-9))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Drawn photos of 512x384, JPEGs."""
    out = draw(tmp_path_factory.mktemp("large") / "set", 6, folds=1, height=512, width=384)
    return sorted(out.glob("train/images/*/*.jp*g"))[::3]


@pytest.fixture(params=[1, 3, 6, 8])
def turned(large, tmp_path, request):
    """One of them, turned by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = request.param
    with Image.open(large[0]) as photo:
        photo.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    return tmp_path / "turned.jpg"


@pytest.fixture
def decoded(monkeypatch):
    """A list to which each photo is added as it is decoded."""
    found, decode = [], simplejpeg.decode_jpeg
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg", lambda *given, **named: found.append(decode(*given, **named)) or found[-1]
    )
    return found


@pytest.mark.parametrize(
    ("size", "decibels"),
    [((64, 48), 48), ((96, 72), 43), ((128, 96), 48), ((256, 192), 44), ((224, 168), 90), ((300, 200), 90)],
)
def test_decoding_smaller_is_hard_to_tell_from_shrinking_the_whole(large, size, decibels):
    for path in large:
        photo, interpolated = read_to_size(path, size, "nearest")
        assert photo.shape == (*size, 3) and photo.flags.c_contiguous and not interpolated
        assert near(photo, resize(read_photo(path), size)) > decibels


def test_never_decoded_to_between_one_and_two_times_the_size(large, decoded):
    for size, height in (
        ((512, 384), 512), ((400, 300), 512), ((257, 192), 512), ((256, 192), 256), ((255, 191), 512),
        ((129, 96), 512), ((128, 96), 128), ((127, 95), 256), ((128, 97), 512), ((64, 48), 64), ((60, 40), 128),
        ((10, 8), 64), ((600, 20), 512),
    ):  # fmt: skip
        decoded.clear()
        assert read_to_size(large[0], size)[0].shape == (*size, 3)
        assert [photo.shape[0] for photo in decoded] == [height], size


def test_exif_is_honoured_when_decoded_smaller(turned):
    for size in ((128, 96), (96, 128), (64, 64), (32, 128)):
        assert near(read_to_size(turned, size)[0], resize(read_photo(turned), size)) > 40


BOX = (0.125, 0.25, 0.75, 0.25 + 2 / 3)  # 320 x 256 of 512 x 384, and whole pixels at an eighth too


def test_a_box_is_cut_out_first_then_resized(large):
    whole = read_photo(large[0])
    for size, decibels in (((320, 256), 90), ((200, 150), 90), ((160, 128), 40), ((60, 50), 40)):
        photo, interpolated = read_to_size(large[0], size, "nearest", BOX)
        assert photo.shape == (*size, 3) and photo.flags.c_contiguous and not interpolated
        assert near(photo, resize(cut(whole, BOX), size)) > decibels
    assert np.array_equal(read_to_size(large[0], (320, 256), box=BOX)[0], whole[64:384, 96:352])
    assert read_to_size(large[0], (321, 256), "nearest", BOX)[1]  # enlarged, though the photo is larger


def test_it_is_the_box_that_must_be_large_enough_to_be_decoded_smaller(large, decoded):
    for size, height in (
        ((160, 128), 256),
        ((128, 96), 512),
        ((80, 64), 128),
        ((64, 48), 256),
        ((320, 256), 512),
    ):
        decoded.clear()
        read_to_size(large[0], size, box=BOX)
        assert [photo.shape[0] for photo in decoded] == [height], size


def test_a_box_is_of_the_photo_as_its_exif_turns_it(turned):
    for size in ((160, 128), (64, 64)):
        assert near(read_to_size(turned, size, box=BOX)[0], resize(cut(read_photo(turned), BOX), size)) > 38


def test_enlarging_and_mixed_sizes_are_interpolated_and_reported(large):
    for size, expected in (((512, 384), False), ((513, 384), True), ((600, 100), True), ((511, 383), False)):
        photo, interpolated = read_to_size(large[0], size, "bicubic")
        assert interpolated == expected
        assert np.array_equal(photo, resize(read_photo(large[0]), size, "bicubic"))


def test_damage_is_noticed_when_decoded_smaller(large, tmp_path):
    data = large[0].read_bytes()
    for name, damaged in (
        ("cut", data[: len(data) // 2]),
        ("head", data[:20]),
        ("frame", data[:163] + b"x" * 99),
    ):
        (tmp_path / f"{name}.jpg").write_bytes(damaged)
        with pytest.raises(UsageError, match=f"{name}.jpg: damaged"):
            read_to_size(tmp_path / f"{name}.jpg", (64, 48))
        assert decode_errors([tmp_path / f"{name}.jpg"])
