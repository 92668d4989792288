"""Damaged and too large photos are errors with their names; nothing of them is decoded, libraries print nothing."""

import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from common.errors import UsageError
from common.machine import PROJECT
from dataset import photo_file
from dataset.cache import arrays
from dataset.check import check
from dataset.decode import decode
from dataset.pixels import decode_errors
from dataset.read import read_train
from tests.dataset.image_bytes import chunk, jpeg, png


def overwritten(data: bytes, at: float, by: bytes) -> bytes:
    start = int(len(data) * at)
    return data[:start] + by + data[start + len(by) :]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("at", "by"), [(0.5, b"\xff" * 8), (0.6, b"\xff\xd0" * 3), (0.7, bytes(range(250, 256)) * 9)]
)
def test_a_jpeg_damaged_in_the_middle_is_an_error_with_its_name(drawn, tmp_path, capfd, progressive, at, by):
    path = tmp_path / "damaged.jpg"
    path.write_bytes(overwritten(jpeg(drawn, quality=95, progressive=progressive), at, by))
    for size in (None, (16, 12)):  # decoded whole, and smaller
        why, photo = decode(path, size)
        assert photo is None
        assert why.startswith("damaged (") and why.endswith("); replace it")
    (error,) = decode_errors([path])
    assert error.startswith(f"{path}: damaged (")
    assert capfd.readouterr().err == ""  # no line of libjpeg's, which has no file name


def test_a_damaged_png_is_an_error_with_its_name(drawn, tmp_path, capfd):
    whole = png(drawn)
    damaged = {
        "byte": overwritten(whole, 0.5, b"\0\0\0"), "cut": whole[: len(whole) // 2], "end": whole[:-12],
        "last": whole[:-1] + b"\0", "head": whole[:20], "length": whole[:33] + b"\x7f" + whole[34:],
        "size": whole[:16] + b"\0\0\1\0" + whole[20:],
    }  # fmt: skip
    for name, data in damaged.items():
        (tmp_path / f"{name}.png").write_bytes(data)
        why, photo = decode(tmp_path / f"{name}.png")
        assert photo is None and why.startswith("damaged ("), name
        assert capfd.readouterr().err == "", name


def test_damage_is_named_by_check_and_when_a_set_is_decoded(data, drawn, tmp_path, capfd):
    photo = sorted(data.glob("train/images/*/normal.jpg"))[0]
    photo.write_bytes(overwritten(jpeg(drawn, quality=95), 0.5, b"\xff" * 8))
    for look in (
        lambda: check(data),
        lambda: arrays.cached(list(read_train(data).table["path"]), (8, 6), "bicubic", tmp_path / "cache"),
    ):
        with pytest.raises(UsageError) as caught:
            look()
        (error,) = caught.value.errors
        assert error.startswith(f"{photo}: damaged (")
    assert "JPEG data" not in capfd.readouterr().err


HUGE = 30_000


def huge_png() -> bytes:
    """30,000 x 30,000 pixels: only the header may be read."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def huge_jpeg() -> bytes:
    data = bytearray(jpeg(Image.new("RGB", (16, 16))))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", HUGE, HUGE)
    return bytes(data)


def huge_bmp() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, HUGE, HUGE, 1, 24, 0, 0, 0, 0, 0, 0)
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("make", [huge_png, huge_jpeg, huge_bmp])
def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(data, make):
    photo = sorted(data.glob("train/images/*/mask1.jpg"))[0]
    photo.write_bytes(make())
    code = (
        "import re, sys; from dataset.pixels import decode_errors; print(decode_errors(sys.argv[1:])[0]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # ru_maxrss has the parent's
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, photo],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    error, peak = ran.stdout.splitlines()
    if make is huge_bmp:  # Pillow refuses that one first
        assert error.endswith(photo_file.TOO_LARGE)
    else:
        assert (
            error
            == f"{photo}: 30,000 x 30,000 pixels, too large (the limit is 100 megapixels); make it smaller"
        )
    assert int(peak) < 500_000  # KiB; its pixels alone are 2,600,000
    with pytest.raises(UsageError) as caught:
        check(data)
    assert len(caught.value.errors) == 1
